"""A server that exists already and stays: a tunnel is a guest on it, and leaves it as it was (role tunnel_guest).

Nothing is launched. A server of this cloud is a tunnel's place on that one machine, and its tags lie there (desired/guest.py).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from support_tunnel.adapters.clouds.row import CloudRow, Setting, Told
from support_tunnel.core.errors import CloudError, UsageError
from support_tunnel.core.ports import Login, OpenPort, ServerSpec

__all__ = ["STATIC"]

_HOST_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]{68}( .*)?")


def _connect(told: Told) -> Any:
    from support_tunnel.adapters.clouds.static_driver import StaticDriver

    most = str(told["tunnels"])
    if not (most.isascii() and most.isdigit() and 1 <= int(most) <= 50):
        raise UsageError("config.value", f"clouds/static/tunnels is {most!r}; it may be 1 to 50")
    return StaticDriver(_address(told), _login(told), most=int(most), guests=told["guests"])


def _address(told: Told) -> str:
    """Raises UsageError `config.value`: devices are told an address, so that no name has to be looked up there."""
    try:
        return str(ipaddress.ip_address(told["host"]))
    except ValueError:
        raise UsageError("config.value", f"clouds/static/host is {told['host']!r}, which is no address") from None


def _login(told: Told) -> Login:
    if not _HOST_KEY.fullmatch(told["host_key"]):
        raise UsageError(
            "config.value",
            "clouds/static/host_key is no Ed25519 host key",
            next_step="It is the line of /etc/ssh/ssh_host_ed25519_key.pub there: ssh-ed25519 AAAA...",
        )
    return Login(told["user"], told["login_key"], " ".join(told["host_key"].split()[:2]))


def _arguments(driver: Any, spec: ServerSpec, told: Told, opened: Any) -> dict[str, Any]:
    if OpenPort("tcp", 443) in spec.open_ports:
        raise CloudError(
            "cloud.wireguard-only",
            "a server that others keep is made no Headscale",
            next_step="Ask the owner for a request with --transport wireguard, or name another cloud with --cloud.",
        )
    return {"spec": spec}


STATIC = CloudRow(
    name="static",
    title="a server that exists already",
    connect=_connect,
    arguments=_arguments,
    tags=lambda node: node.extra["tags"],
    address=lambda node: str(node.public_ips[0]),
    genuine=lambda driver: True,  # what is listed was read over ssh, under the key that the inventory names
    settings=(
        Setting("host", "the server's address", needed=True),
        Setting("host_key", "its Ed25519 host key: ssh-ed25519 AAAA...", needed=True),
        Setting("login_key", "where the private key is that it lets in", needed=True, secret=True),
        Setting("user", "whom to log in as: root, or one who may become it by sudo without a password", default="root"),
        Setting("tunnels", "how many tunnels it may hold at once", default="5"),
    ),
    login=_login,
    boot_seconds=30.0,
    only_wireguard=True,
    ends_itself="a timer on the server takes back what the tunnel made there, and a reboot does",
    billed_when_off=False,
    console="the server itself, as root: systemctl list-units 'support-tunnel-*'",
    accepted=lambda driver: driver.ex_require_fit(),
    permissions=("a login that is root, or becomes it by sudo without a password",),
    hourly=lambda driver, spec, told: 0.0,
)
