"""Whom a device lets ask at all (2.8), as its settings say it, and as `inv install --org-ca` changes them.

A list that is named and cannot be read is an error, never an empty list: that would be "anybody with the code". So is one that is there
and that nothing names: settings that were cut off, or lost, look like that.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from support_tunnel.adapters.trusted_file import read_trusted
from support_tunnel.cli import paths
from support_tunnel.cli.device.settings import DeviceSettings
from support_tunnel.core.errors import UsageError
from support_tunnel.core.organisations import parse_organisations, parse_principal, parse_revoked
from support_tunnel.core.st1.signer import PRINCIPAL, Trust

__all__ = ["load_trust", "trusting"]


def load_trust(settings: DeviceSettings) -> Trust:
    """Read the files that the settings name. Raises UsageError `file.*`, `trust.*` naming file and line."""
    _require_named(settings.org_ca, paths.DEVICE_ORG_CA, "org-ca")
    _require_named(settings.revoked, paths.DEVICE_REVOKED, "revoked")
    organisations = parse_organisations(_read(settings.org_ca), where=settings.org_ca) if settings.org_ca else ()
    revoked = parse_revoked(_read(settings.revoked), where=settings.revoked) if settings.revoked else frozenset()
    return Trust(organisations, revoked, settings.org_principal or PRINCIPAL)


def trusting(
    settings: DeviceSettings, *, org_ca: str = "", org_principal: str = "", revoked: str = ""
) -> tuple[DeviceSettings, dict[str, object]]:
    """The settings with what was given in place of what was set, and the lists that have to be written for that.

    Raises what `load_trust` raises, before anything is written: for the files given, and for those that stay.
    """
    if org_principal and not (org_ca or settings.org_ca):
        raise UsageError("trust.principal", "--org-principal says nothing without --org-ca")
    if org_principal:
        parse_principal(org_principal, where="--org-principal")
    wanted = replace(
        settings,
        org_ca=org_ca or settings.org_ca,
        org_principal=org_principal or settings.org_principal,
        revoked=revoked or settings.revoked,
    )
    trust = load_trust(wanted)
    lists: dict[str, object] = {}
    if org_ca:
        lists["device_settings_org_ca_keys"] = [
            f"{key} {one.name}" for one in trust.organisations for key in one.authorities
        ]
        wanted = replace(wanted, org_ca=str(paths.DEVICE_ORG_CA))
    if revoked and not trust.revoked:
        raise UsageError("trust.empty", f"{revoked} names no key", next_step="Leave --revoked out.")
    if revoked:
        lists["device_settings_revoked_keys"] = sorted(trust.revoked)
        wanted = replace(wanted, revoked=str(paths.DEVICE_REVOKED))
    return wanted, lists


def _require_named(named: str, usual: Path, key: str) -> None:
    if not named and usual.exists():
        raise UsageError(
            "trust.unnamed",
            f"{usual} is there, and no {key} in {paths.DEVICE_CONFIG} names it; without it more people could ask than you meant",
            next_step=f"Put `{key} = {usual}` under [device], or move that file away.",
        )


def _read(path: str) -> str:
    return read_trusted(Path(path))
