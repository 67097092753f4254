"""Settings of the device: /etc/support_tunnel/config.ini, then SUPPORT_TUNNEL_* of the environment, then flags.

These files, and those they name, decide who may come in, so they are refused unless root owns them and nobody else can write them.
"""

from __future__ import annotations

import configparser
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support_tunnel.adapters.http_proxy import HttpProxy
from support_tunnel.adapters.trusted_file import read_trusted
from support_tunnel.cli import paths
from support_tunnel.core.consent import ConsentPolicy
from support_tunnel.core.errors import UsageError
from support_tunnel.core.hooks import MOMENTS, HookCommand, Moment
from support_tunnel.core.organisations import parse_principal
from support_tunnel.core.secret import Secret

__all__ = ["DeviceSettings", "load_device_settings", "load_policy"]

_TOLD = ("api", "api-fingerprint", "name", "proxy", "proxy-password-file", "debug")
"""Keys that the environment may override."""
_SCRIPTS: dict[str, Moment] = {f"{moment}-script": moment for moment in MOMENTS}
"""Keys of the file alone: the keeper, which ends a session, is no child of the shell that began it."""
_TRUST = ("org-ca", "org-principal", "revoked")
"""Whom the device lets ask: of the file alone, because a variable of the caller's could otherwise turn mode B into mode A."""
_MOST_SESSIONS = 16
_KEYS = (*_TOLD, "max-sessions", "tailscale", *_TRUST, *_SCRIPTS)


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """`api` is the mailbox's URL; `api_fingerprint` pins its certificate where no public CA vouches for it.

    `debug`: each line of the audit log is shown on stderr too. `hooks`: the owner's scripts. `proxy`: the HTTP proxy on the way to
    the API, its password in a file that only root reads. `org_ca`, `revoked`: files for `device_trust`; `org_principal`: what
    a helper's certificate has to name. `max_sessions`: requests and sessions at once. `tailscale`: the folder of Tailscale's programs.
    """

    api: str
    api_fingerprint: str
    name: str
    debug: bool = False
    hooks: Mapping[Moment, HookCommand] = field(default_factory=dict)
    max_sessions: int = 1
    proxy: str = ""
    proxy_password_file: str = ""
    org_ca: str = ""
    org_principal: str = ""
    revoked: str = ""
    tailscale: str = ""

    def http_proxy(self) -> HttpProxy | None:
        """Raises UsageError `config.proxy`, `file.*`."""
        setting = f"proxy in {paths.DEVICE_CONFIG} or SUPPORT_TUNNEL_PROXY"
        file = Path(self.proxy_password_file)
        if self.proxy_password_file and not (self.proxy and file.is_absolute()):
            raise UsageError("config.proxy", "proxy-password-file is a whole path, and needs a proxy")
        if not self.proxy:
            return None
        password = Secret(read_trusted(file, secret=True).strip()) if self.proxy_password_file else None
        return HttpProxy.parse(self.proxy, setting=setting, password=password)


def load_device_settings(
    environ: Mapping[str, str], *, config: Path = paths.DEVICE_CONFIG, api_needed: bool = True
) -> DeviceSettings:
    """Raises UsageError `config.*` naming file and key. Without `api_needed`, `api` may be empty: what only looks and ends needs none."""
    values = {key: "" for key in _KEYS}
    if config.exists():
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(read_trusted(config), source=str(config))
        except configparser.Error as error:
            raise UsageError("config.syntax", f"{config}: {str(error).splitlines()[0]}") from None
        for section in parser.sections():
            if section != "device":
                raise UsageError(
                    "config.unknown", f"{config}: section [{section}] is not known; there is only [device]"
                )
        if parser.has_section("device"):
            for key, value in parser.items("device"):
                if key not in _KEYS:
                    raise UsageError("config.unknown", f"{config}: device/{key} is not known", next_step=_known())
                values[key] = value.strip()
    for key in _TOLD:
        values[key] = environ.get(f"SUPPORT_TUNNEL_{key.replace('-', '_').upper()}", values[key])
    if api_needed and not values["api"]:
        raise UsageError(
            "config.api",
            f"no API address is set: neither in {config} nor in SUPPORT_TUNNEL_API",
            next_step="Run `inv install --api https://NAME:PORT --api-fingerprint SHA256`, with what your support gave you.",
        )
    return DeviceSettings(
        values["api"],
        values["api-fingerprint"],
        values["name"] or socket.gethostname(),
        debug=_switch(values["debug"], f"{config}: device/debug"),
        max_sessions=_count(values["max-sessions"] or "1", f"{config}: device/max-sessions"),
        hooks={
            moment: _command(values[key], f"{config}: device/{key}") for key, moment in _SCRIPTS.items() if values[key]
        },
        proxy=values["proxy"],
        proxy_password_file=values["proxy-password-file"],
        org_ca=_file(values["org-ca"], f"{config}: device/org-ca"),
        org_principal=_principal(values["org-principal"], values["org-ca"], f"{config}: device/org-principal"),
        revoked=_file(values["revoked"], f"{config}: device/revoked"),
        tailscale=_file(values["tailscale"], f"{config}: device/tailscale"),
    )


def _switch(text: str, where: str) -> bool:
    states = configparser.ConfigParser.BOOLEAN_STATES
    if (text or "no").lower() not in states:
        raise UsageError("config.value", f"{where} is yes or no, not {text!r}")
    return states[(text or "no").lower()]


def _count(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_SESSIONS):
        raise UsageError("config.value", f"{where} is a number from 1 to {_MOST_SESSIONS}, not {text!r}")
    return int(text)


def _command(text: str, where: str) -> HookCommand:
    try:
        return HookCommand.parse(text)
    except UsageError as wrong:
        raise UsageError(wrong.code, f"{where}: {wrong.message}", next_step=wrong.next_step) from None


def _file(text: str, where: str) -> str:
    if text and not text.startswith("/"):
        raise UsageError("config.value", f"{where} is the whole path of a file, not {text!r}")
    return text


def _principal(text: str, org_ca: str, where: str) -> str:
    if text and not org_ca:
        raise UsageError("config.value", f"{where} is set, but no org-ca: anybody with the code could still ask")
    return parse_principal(text, where=where) if text else ""


def _known() -> str:
    return f"Under [device], {paths.DEVICE_CONFIG} knows: {', '.join(_KEYS)}."


def load_policy(*, policy: Path = paths.DEVICE_POLICY) -> ConsentPolicy | None:
    """Whom the device lets in without asking; None when there is no such file, and the owner is always asked."""
    if not policy.exists():
        return None
    try:
        return ConsentPolicy.parse(tomllib.loads(read_trusted(policy)))
    except tomllib.TOMLDecodeError as error:
        raise UsageError("config.syntax", f"{policy}: {error}") from None
