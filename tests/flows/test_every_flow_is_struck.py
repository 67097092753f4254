"""Which flows the fault tests run is seen, not listed: one that nobody strikes has to be named here with the reason."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from support_tunnel.flows.library import Library
from support_tunnel.testing.faults import FaultWiring
from tests.flows.test_faults import VERBS
from tests.flows.world import REPOSITORY, World

FLOWS = REPOSITORY / "support_tunnel" / "flows"
LOOKS = "it only looks"
DOOR = "one call of the door, which makes nothing that outlives it"
NOT_STRUCK = {
    "admin/headscale_status.headscale_status": LOOKS,
    "admin/listing.detail": LOOKS,
    "admin/listing.find": LOOKS,
    "admin/listing.listing": LOOKS,
    "admin/reach.fetch": DOOR,
    "admin/reach.forward": DOOR,
    "admin/reach.granted": LOOKS,
    "admin/reach.put": DOOR,
    "admin/resume.resume": "tests/flows/test_resume.py strikes it at each of its calls",
    "admin/spending.cost": LOOKS,
    "admin/tunnels.close": "it calls what the verb stop calls, or what tests/flows/test_standing_struck.py strikes",
    "admin/tunnels.one": LOOKS,
    "admin/tunnels.tunnels": LOOKS,
    "admin/unfinished.unfinished": LOOKS,
    "admin/watching.watch": LOOKS,
    "device/end_session.let_in_name": LOOKS,
    "device/history.history": LOOKS,
    "device/status.status": LOOKS,
}
"""By `side/module.function`, why the verbs of test_faults do not run it."""


def public(path: Path) -> Iterator[str]:
    """Functions of a flow's `__all__` that are given ports."""
    tree = ast.parse(path.read_text())
    exported = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
    )
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in exported:
            kinds = {ast.unparse(given.annotation) for given in node.args.args if given.annotation}
            if kinds & {"AdminPorts", "DevicePorts"}:
                yield f"{path.parent.name}/{path.stem}.{node.name}"


def test_every_flow_that_is_given_ports_is_struck_or_says_why_not(
    make_world: Callable[..., World], library: Library
) -> None:
    wanted = {
        name
        for side in ("admin", "device")
        for path in (FLOWS / side).glob("*.py")
        if path.stem != "__init__"
        for name in public(path)
    }
    assert len(wanted) > 10
    ran: set[str] = set()

    def seen(frame: FrameType, event: str, argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(FLOWS):
            ran.add(f"{path.parent.name}/{path.stem}.{frame.f_code.co_name}")

    before = sys.getprofile()
    threading.setprofile(seen)
    sys.setprofile(seen)
    try:
        for verb in VERBS.values():
            world = make_world(library=library, transports=verb.transports)
            world.owner_agrees()
            verb.prepare(world)
            verb.run(world, FaultWiring())
            world.end()
    finally:
        sys.setprofile(before)
        threading.setprofile(None)
    assert sorted(wanted - ran) == sorted(NOT_STRUCK)
