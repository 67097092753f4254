"""The role of the bench in pyinfra's words, task by task in the same order; run by pyinfra, not imported by us."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

# pyinfra is in the bench's own environment (requirements/bench.txt), which mypy does not look into.
from pyinfra import host  # type: ignore[import-not-found]  # see above
from pyinfra.facts.files import File  # type: ignore[import-not-found]  # see above
from pyinfra.operations import files, server, systemd  # type: ignore[import-not-found]  # see above
from yaml import safe_load

ROLE = Path(__file__).parent / "wireguard_server"
VARIABLES = safe_load((ROLE / "defaults/main.yml").read_text())


def template(number: int, source: str, dest: str, mode: str) -> object:
    return files.template(
        name=f"{number} {dest}",
        src=str(ROLE / "templates" / source),
        dest=dest,
        user="root",
        group="root",
        mode=mode,
        **VARIABLES,
    )


files.put(
    name="1 kernel modules",
    src=StringIO("wireguard\n"),
    dest="/etc/modules-load.d/bench.conf",
    user="root",
    group="root",
    mode="644",
)
server.group(name="2 group", group="wgbench", system=True)
server.user(  # noqa: S604 - the account's login shell; nothing is run by it
    name="3 account",
    user="wgbench",
    system=True,
    group="wgbench",
    home="/nonexistent",
    ensure_home=False,
    create_home=False,
    shell="/usr/sbin/nologin",
)
files.directory(name="4 folder of the keys", path="/etc/wireguard", user="root", group="root", mode="700")
if not host.get_fact(File, path="/etc/wireguard/bench0.key"):
    server.shell(name="5 private key", commands=["umask 077 && wg genkey > /etc/wireguard/bench0.key"])
if not host.get_fact(File, path="/etc/wireguard/bench0.pub"):
    server.shell(
        name="6 public key",
        commands=["umask 077 && wg pubkey < /etc/wireguard/bench0.key > /etc/wireguard/bench0.pub"],
    )
template(7, "bench0.conf.j2", "/etc/wireguard/bench0.conf", "600")
files.link(name="8 a name for the current peer", path="/etc/wireguard/current.conf", target="bench0.conf")
files.put(
    name="9 kernel settings",
    src=StringIO("net.ipv4.conf.all.rp_filter = 1\n"),
    dest="/etc/sysctl.d/60-bench.conf",
    user="root",
    group="root",
    mode="644",
)
template(10, "nftables.conf.j2", "/etc/nftables.conf", "600")
template(11, "bench-wireguard.service.j2", "/etc/systemd/system/bench-wireguard.service", "644")
line = files.line(
    name="12 no passwords",
    path="/etc/ssh/sshd_config",
    line="^#*PasswordAuthentication .*$",
    replace="PasswordAuthentication no",
)
drop_in = template(13, "sshd.conf.j2", "/etc/ssh/sshd_config.d/10-bench.conf", "600")
files.file(name="14 no greeting", path="/etc/motd", present=False)
systemd.service(name="15 packet filter is on", service="nftables.service", running=True, enabled=True)
systemd.service(
    name="16 WireGuard is up",
    service="bench-wireguard.service",
    running=True,
    enabled=True,
    daemon_reload=True,
)
systemd.service(
    name="Reload ssh",
    service="ssh.service",
    reloaded=True,
    _if=lambda: line.did_change() or drop_in.did_change(),  # type: ignore[attr-defined]  # pyinfra's own result
)
