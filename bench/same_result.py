"""What a tool made of a node, in a form in which two tools can be compared: nobody wins by doing less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.fresh_node import FreshNode, said_by
from support_tunnel.adapters.local_cloud.snapshot import Entry, Snapshot

__all__ = ["Made", "differences", "made_of"]

OF_ONE_NODE = frozenset({"etc/wireguard/bench0.key", "etc/wireguard/bench0.pub"})
"""Keys that each node makes for itself: mode and owner count, the content cannot be equal."""
NO_RESULT = ("root/", "tmp/", "var/cache/", "var/lib/", "var/log/", "var/tmp/")
"""Where tools and services keep their own traces. Everything else that differs from the fresh node is the result."""
BACKUPS = ("-", "~")
"""passwd- and its like: the file before the last edit, which depends on how many edits a tool makes."""

PROBE = """\
for unit in nftables.service bench-wireguard.service; do
    printf '%s %s %s\\n' "$unit" "$(systemctl is-active "$unit")" "$(systemctl is-enabled "$unit")"
done
nft list table inet bench
wg show bench0 listen-port
wg show bench0 allowed-ips
ip -4 -brief address show dev bench0
test "$(wg show bench0 public-key)" = "$(cat /etc/wireguard/bench0.pub)" && echo 'its own key'
sshd -T | grep -Ei '^(passwordauthentication|allowtcpforwarding|x11forwarding|logingracetime) '
id wgbench
getent passwd wgbench
"""
"""What runs, not only what lies on the disk."""


@dataclass(frozen=True, slots=True)
class Made:
    files: Mapping[str, Entry | None]
    running: str


def made_of(node: FreshNode, fresh: Snapshot) -> Made:
    """Look at the node: what is different from `fresh`, and what runs. Raises RuntimeError when something does not."""
    after = node.snapshot()
    files = {
        name: _comparable(name, after.seen(name))
        for name in {*fresh.written, *after.written}
        if fresh.seen(name) != after.seen(name) and not name.startswith(NO_RESULT) and not name.endswith(BACKUPS)
    }
    with node.connect() as shell:
        running = said_by(shell, PROBE)
    return Made(files, running)


def differences(one: Made, other: Made) -> list[str]:
    """Name what is not the same; empty when all is."""
    names = sorted({*one.files, *other.files})
    found = [name for name in names if one.files.get(name, "absent") != other.files.get(name, "absent")]
    if one.running != other.running:
        found.append(f"what runs: {one.running!r} and {other.running!r}")
    return found


def _comparable(name: str, entry: Entry | None) -> Entry | None:
    return replace(entry, content="") if entry is not None and name in OF_ONE_NODE else entry
