"""Make an image of a tunnel server with all its packages, so that a start needs no package mirror. Whatever fails, nothing is left."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.ports import Image, LedgerEntry, ServerShell
from support_tunnel.desired.cleaning import clean
from support_tunnel.flows.admin.launch import LOGIN_USER, boot, open_ports
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.spending import rent
from support_tunnel.flows.admin.stop import stop, tear_down

__all__ = ["LIFETIME", "Baked", "bake", "images_of", "remove_image"]

LIFETIME = timedelta(hours=2)
"""Of the server: an hour for the cloud's copy of its disk, and as much for all before."""


@dataclass(frozen=True, slots=True)
class Baked:
    image: Image
    others: Sequence[Image]
    """Ours from before, on the same cloud: each is stored, and costs."""


def bake(ports: AdminPorts) -> Baked:
    """On the cloud that new servers come from. In the ledger the server is a tunnel's that nobody ever answers, so that `sweep` ends it.

    Raises CloudError `cloud.cannot-bake` before anything is made, else CloudError, HostError, WrongState `cost.cap`.
    """
    images = ports.images[ports.cloud]
    others = images.baked()
    tunnel, now = TunnelId(secrets.token_hex(16)), ports.clock.now()
    names = Names(tunnel)
    entry = LedgerEntry(
        tunnel=tunnel,
        cloud=ports.cloud,
        stage="intended",
        created=now,
        expires=now + LIFETIME,
        device_name="(an image)",
        image=names.image,
    )
    with ports.vault.hold(tunnel):
        try:
            with ports.vault.turn():
                rent(ports, entry)
                ports.ledger.write(entry)
            booted = boot(ports, entry, open_ports((), coordinated=False))
            try:
                _prepare(ports, booted.shell, turn_off=images.of_what_is_off)
            finally:
                booted.shell.close()
            ports.progress.step("Making the image: the cloud copies a disk, which takes minutes")
            tags = {"st-image": names.image, "st-owner": ports.owner, "st-made": str(int(now.timestamp()))}
            made = images.bake(booted.server.id, names.image, tags)
            # Whole: from here on it is no leftover of this server.
            ports.ledger.write(replace(ports.ledger.read(tunnel) or entry, image=""))
        except BaseException:
            tear_down(ports, tunnel)
            raise
        stop(ports, tunnel)
    return Baked(made, others)


def _prepare(ports: AdminPorts, shell: ServerShell, *, turn_off: bool) -> None:
    ports.progress.step("Installing the packages (role tunnel_server_packages)")
    ports.library.converge(shell, ("tunnel_server_packages",), {}, host="the server", timeout=600)
    ports.progress.step("Taking off what is this server's alone: keys, account, names, logs")
    cleaned = shell.run_script(clean(LOGIN_USER, turn_off=turn_off), timeout=120)
    if cleaned.status != 0:
        words = cleaned.stderr.strip().splitlines()
        raise HostError("image.unclean", f"the server could not be cleaned: {words[-1] if words else cleaned.status}")


def images_of(ports: AdminPorts) -> Sequence[Image]:
    """Ours on the cloud that new servers come from."""
    return ports.images[ports.cloud].baked()


def remove_image(ports: AdminPorts, name: str) -> Image:
    """By name, id or as the inventory says it. Raises UsageError `image.unknown`."""
    found = [one for one in images_of(ports) if name in (one.name, one.id, one.word)]
    if not found:
        raise UsageError(
            "image.unknown",
            f"there is no image of ours called {name!r} on the cloud {ports.cloud}",
            next_step="List them: fab bake-image --list",
        )
    ports.images[ports.cloud].remove(found[0].id)
    return found[0]
