"""The second transport on real hosts, with every packet kept: played once, then looked at by the tests of the first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from support_tunnel.adapters.local_cloud.snapshot import Snapshot
from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.admin import AdminSession
from support_tunnel.core.st1.paths import HeadscalePath
from tests.onebox.capture import Capture, capturing
from tests.onebox.crew import HOST_STATE, Connected, Crew
from tests.onebox.played import Session, play_session
from tests.onebox.searching import search, watching


@dataclass(frozen=True, slots=True)
class PlayedByHeadscale:
    """One session, and another that is only connected: there the device has nothing but TCP."""

    capture: Capture
    tree: tuple[Snapshot, Snapshot]
    host: tuple[str, str]
    session: Session
    relayed: Connected
    relayed_ran: Completed
    relayed_left: list[str]


HEADSCALE = ("--transport", "headscale", "--pq", "prefer")
NO_UDP = r"""
nft -f - <<'END'
table inet no_udp {
	chain input { type filter hook input priority -200; policy accept; iifname != "lo" meta l4proto udp drop; }
	chain output { type filter hook output priority -200; policy accept; oifname != "lo" meta l4proto udp drop; }
}
END
"""


def play_by_headscale(people: Crew, folder: Path) -> PlayedByHeadscale:
    with capturing(people.on.bridge, folder) as capture, watching() as processes:
        tree, host = people.tree(), people.device(HOST_STATE)
        session = play_session(replace(people, umask="077"), processes, *HEADSCALE, of_transport=_join_key)
        session.lying_about["in processes and logs"] = search(processes.haystacks(), session.secrets)
        people.device(NO_UDP)
        relayed = people.connect("--ttl", "5", *HEADSCALE)
        ran = people.fab("command", relayed.tunnel[:8], "id -un; hostname")
        assert people.fab("stop", relayed.tunnel[:8]).status == 0
        people.closed()
        people.device("nft delete table inet no_udp")
        after = people.tree(), people.device(HOST_STATE)
        left = people.left(relayed.tunnel)
    return PlayedByHeadscale(capture, (tree, after[0]), (host, after[1]), session, relayed, ran, left)


def _join_key(people: Crew, live: Connected) -> dict[str, bytes]:
    session = AdminSession.load(Secret(people.vault_file(live.tunnel, "state").read_bytes()))
    (path,) = session.answer.paths
    assert isinstance(path, HeadscalePath)
    return {"join key": path.join_key.reveal().encode()}
