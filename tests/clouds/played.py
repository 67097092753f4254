"""Who plays which cloud for tests/clouds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.clouds.amazon import Amazon
from tests.clouds.digitalocean import DigitalOcean
from tests.clouds.gate import Provider
from tests.clouds.google import Google
from tests.clouds.hetzner import Hetzner
from tests.clouds.linode import Linode
from tests.clouds.microsoft import Microsoft
from tests.clouds.openstack import Openstack
from tests.clouds.real_nova import ADDRESS, Nova
from tests.clouds.vultr import Vultr

__all__ = ["PLAYED"]

PLAYED: Mapping[str, Callable[[], Provider]] = {
    "ec2": Amazon,
    "azure": Microsoft,
    "digitalocean": DigitalOcean,
    "gce": Google,
    "hetzner": Hetzner,
    "linode": Linode,
    "openstack": Openstack,
    "vultr": Vultr,
    **({"nova": Nova} if ADDRESS else {}),
}
