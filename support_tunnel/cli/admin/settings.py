"""Settings of the admin's side, lowest to highest: inventory/group_vars/all.yml, what OpenTofu made (inventory/*.tofu.json),
SUPPORT_TUNNEL_* of the environment, flags.

The inventory is Ansible's own format, so its values sit under one key, `support_tunnel`. A secret is never a value here: it
is `file:PATH`, `env:NAME` or `cmd:PROGRAM ...`, and is read when it is needed.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from support_tunnel.cli import paths
from support_tunnel.cli.admin.tofu_outputs import made_by_tofu, named_inventory
from support_tunnel.core.errors import UsageError
from support_tunnel.core.limits import Limits
from support_tunnel.core.spending import parse_dollars

__all__ = ["AdminSettings", "load_admin_settings", "load_with_origins"]

OLD_TOKEN = "ADMIN_AUTH_TOKEN"  # noqa: S105 - a variable's name
"""The original's variable of the admin's token; read where nothing says otherwise and the token's own file is not there."""
INVENTORY = paths.inventory() / "group_vars" / "all.yml"


@dataclass(frozen=True, slots=True)
class AdminSettings:
    api: str = ""
    """URL of the mailbox."""
    api_fingerprint: str = ""
    """SHA-256 of its certificate, where no public CA vouches for it."""
    token: str = "file:~/.config/support_tunnel/token"  # noqa: S105 - where it is, never what it is
    """Where this admin's API token is."""
    signer: str = "~/.config/support_tunnel/signer_ed25519"
    """The long-lived key that owners recognise (`fab key.create`)."""
    signer_certificate: str = ""
    """Where an organisation's certificate for it is; default: beside it (KEY-cert.pub), if there is one."""
    session_certificate: str = ""
    """The program that has each session's key certified, for devices of an organisation: cmd:PROGRAM ARGUMENT ..."""
    name: str = ""
    """How owners see this admin; default: the login name."""
    cloud: str = "local"
    """Where new tunnel servers come from: one of `clouds`."""
    clouds: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"local": {}})
    """Clouds by name with what their driver needs to know; only those named here are swept."""
    state: str = "~/.local/state/support_tunnel"
    """The ledger."""
    runtime: str = ""
    """Session secrets, on tmpfs; default: the user's runtime folder."""
    proxy: str = ""
    """HTTP proxy on the way to API and webhook, `http://[user@]name:port`."""
    proxy_password: str = ""
    """Where the proxy's password is."""
    tunnel_minutes: int = 30
    """How long a session is where nothing is asked for; the owner's offer may be shorter."""
    tunnel_minutes_most: int = 240
    """How long it may be asked to be."""
    tunnels_at_once: int = 5
    """Tunnels at the same moment: yours, and on a standing server everybody's together."""
    spend_cap: float | None = None
    """US dollars that your servers may cost in a month, as estimated (`fab cost`); a server beyond it is not made."""
    headscale_server: str = ""
    """https:// address of a standing Headscale server, for many tunnels (docs/headscale.md); empty: each has one of its own."""
    headscale_authority: str = ""
    """Where the certificate of the one authority is that vouches for it: file:PATH, PEM."""
    headscale_key: str = ""
    """Where its API key is."""
    webhook: str = ""
    """Told of each request that begins to wait while `fab list --watch` runs."""
    headscale: str = ""
    """Path of the program `headscale` in the image of tunnel servers, for the transport of that name (docs/headscale.md)."""
    headscale_sha256: str = ""
    """Its digest, in hex."""
    tailscale: str = ""
    """Folder of `tailscale` and `tailscaled` in the image of tunnel servers."""
    own_tailscale: str = ""
    """Folder of `tailscale` and `tailscaled` on this machine; default: those that set-up built, or those on the PATH."""
    refuse_code_on_argv: bool = False
    """Refuse a code given as an argument instead of warning."""

    @property
    def limits(self) -> Limits:
        return Limits(60 * self.tunnel_minutes, 60 * self.tunnel_minutes_most, self.tunnels_at_once)

    @property
    def display_name(self) -> str:
        return self.name or getpass.getuser()

    def path(self, value: str) -> Path:
        return Path(value).expanduser()


def load_admin_settings(environ: Mapping[str, str], **flags: str) -> AdminSettings:
    """Raises UsageError `config.*` naming the path of the value that is wrong.

    SUPPORT_TUNNEL_INVENTORY names another inventory file than the usual one (`paths.inventory`); it has to be there.
    """
    return load_with_origins(environ, **flags)[0]


def load_with_origins(environ: Mapping[str, str], **flags: str) -> tuple[AdminSettings, Mapping[str, str]]:
    """As `load_admin_settings`, and by name where each value that is no default came from."""
    settings = AdminSettings()
    origins: dict[str, str] = {}
    for origin, values, where in _layers(environ, flags):
        before = settings.clouds
        settings = _merged(settings, values, where)
        if origin == "opentofu":
            settings = replace(settings, clouds=_together(before, settings.clouds))
        origins |= dict.fromkeys(values, origin)
    if "token" not in origins and OLD_TOKEN in environ and not settings.path(settings.token.partition(":")[2]).exists():
        return replace(settings, token=f"env:{OLD_TOKEN}"), origins | {"token": "environment"}
    return settings, origins


def _layers(environ: Mapping[str, str], flags: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, object], str]]:
    inventory = named_inventory(environ) or INVENTORY
    if inventory.exists():
        yield "file", _section(inventory), f"{inventory.name}: support_tunnel"
    made = made_by_tofu(environ)
    if made:
        yield "opentofu", made.settings, f"{made.name}: settings"
    names = [known.name for known in fields(AdminSettings) if known.name != "clouds"]
    given = {name: environ[variable] for name in names if (variable := f"SUPPORT_TUNNEL_{name.upper()}") in environ}
    yield "environment", given, "environment"
    yield "flag", {key: value for key, value in flags.items() if value}, "flags"


def _section(inventory: Path) -> Mapping[str, object]:
    import yaml

    try:
        document = yaml.safe_load(inventory.read_text())
    except yaml.YAMLError as error:
        raise UsageError("config.syntax", f"{inventory}: {str(error).splitlines()[0]}") from None
    section = (document or {}).get("support_tunnel") or {}
    if not isinstance(section, dict):
        raise UsageError("config.type", f"{inventory.name}: support_tunnel is not a mapping")
    return section


def _merged(settings: AdminSettings, values: Mapping[str, object], where: str) -> AdminSettings:
    known = {one.name: one.type for one in fields(AdminSettings)}
    changes: dict[str, object] = {}
    for key, value in values.items():
        if key not in known:
            raise UsageError("config.unknown", f"{where}/{key} is not known", next_step=f"Known: {', '.join(known)}.")
        if known[key] == "bool":
            value = _truth(value, f"{where}/{key}")
        elif known[key] == "int":
            value = _number(value, f"{where}/{key}")
        elif key == "spend_cap":
            # Nothing behind the colon is no cap, as in the default.
            value = None if value is None else parse_dollars(str(value), f"{where}/{key}")
        elif key == "clouds":
            value = _clouds(value, f"{where}/{key}")
        elif not isinstance(value, str) or re.search(r"[\x00-\x1f\x7f]", value):
            raise UsageError("config.type", f"{where}/{key} should be one line of text")
        changes[key] = value
    return replace(settings, **changes)  # type: ignore[arg-type]  # checked above against the fields


def _truth(value: object, where: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise UsageError("config.type", f"{where} should be true or false")


def _number(value: object, where: str) -> int:
    # bool is an int in Python: `true` for minutes must not become one minute.
    if type(value) in (int, str) and re.fullmatch(r"[0-9]{1,6}", str(value)):
        return int(str(value))
    raise UsageError("config.type", f"{where} should be a whole number")


def _together(
    ours: Mapping[str, Mapping[str, str]], made: Mapping[str, Mapping[str, str]]
) -> Mapping[str, Mapping[str, str]]:
    """The clouds of both, key by key: OpenTofu knows the network, and the inventory where the credentials are."""
    return {name: {**ours.get(name, {}), **made.get(name, {})} for name in {**ours, **made}}


def _clouds(value: object, where: str) -> Mapping[str, Mapping[str, str]]:
    if not isinstance(value, dict) or not value:
        raise UsageError("config.type", f"{where} should be a mapping of clouds")
    for name, settings in value.items():
        if not isinstance(settings or {}, dict):
            raise UsageError("config.type", f"{where}/{name} should be a mapping")
    return {str(name): dict(settings or {}) for name, settings in value.items()}
