"""A server that exists already: the tunnel logs in as its keeper lets it, and knows in a later process still that it is a guest."""

from __future__ import annotations

from dataclasses import replace

from support_tunnel.core import ssh_key
from support_tunnel.core.ports import Completed, Login, Server, ServerSpec, ThroughServer
from support_tunnel.core.secret import Secret
from support_tunnel.desired import guest
from support_tunnel.flows.admin.record import LOGIN_KEY, load_reached
from support_tunnel.testing.fake_cloud import FakeCloud
from tests.flows.hosts import CloudConnector, ServerModel
from tests.flows.world import FOREIGN, World, keys

PRIVATE, PUBLIC = ssh_key.new_keypair("keeper")
LOGIN = Login("ops", Secret(PRIVATE.reveal().strip()), PUBLIC)


class KeptMachine(FakeCloud):
    def create(self, spec: ServerSpec) -> Server:
        return replace(super().create(spec), login=LOGIN)


class GuestModel(ServerModel):
    """Knows where a guest's key lies."""

    def run_script(self, script: Secret[str], *, timeout: float) -> Completed:
        if f"file={guest.FOLDER}/" in script.reveal():
            return Completed(0, f"wireguard\t{keys()['wireguard']}\n", "")
        return super().run_script(script, timeout=timeout)


def test_the_tunnel_is_a_guest_from_its_first_login_to_its_last(world: World) -> None:
    cloud = KeptMachine(world.folder / "kept")
    world.cloud = world.device.cloud = cloud
    cloud.create(FOREIGN)
    (world.foreign,) = cloud.everything()
    connector = CloudConnector(GuestModel(keys()["host"], keys()["wireguard"]), cloud)
    world.owner_agrees()
    device, admin = world.turns.start(world.request), world.turns.start(lambda: world.answer(connector=connector))
    world.turns.run(device, admin)
    assert (device.error, admin.error) == (None, None)

    assert {(login.user, login.host_key) for login in connector.logins} == {("ops", PUBLIC)}
    scripts = [script.reveal() for script in connector.shell.scripts]
    journal = f"st_journal={guest.journal(world.tunnel[:8])}"
    assert scripts
    for script in scripts:
        assert journal in script, "whatever is changed there is recorded, the peer too"
        assert "poweroff" not in script
    reached = load_reached(world.admin_vault, world.tunnel)
    assert reached is not None
    assert (reached.guest_as, reached.user, reached.host_key) == ("ops", "ops", PUBLIC)
    through = world.door.hops[world.tunnel].through
    assert isinstance(through, ThroughServer)
    assert (through.user, through.host_key) == ("ops", PUBLIC)
    kept = world.admin_vault.get(world.tunnel, LOGIN_KEY)
    assert kept is not None
    assert kept.reveal() == PRIVATE.reveal().strip().encode() + b"\n", "ssh reads no key without a line's end"

    world.turns.start(world.stop_by_admin)
    world.turns.run()
    assert world.left() == []
