"""The clouds that there are. Another cloud is another file in `clouds/` and its name here."""

from __future__ import annotations

from collections.abc import Mapping

from support_tunnel.adapters.clouds.azure import AZURE
from support_tunnel.adapters.clouds.digitalocean import DIGITALOCEAN
from support_tunnel.adapters.clouds.ec2 import EC2
from support_tunnel.adapters.clouds.gce import GCE
from support_tunnel.adapters.clouds.hetzner import HETZNER
from support_tunnel.adapters.clouds.linode import LINODE
from support_tunnel.adapters.clouds.local import LOCAL
from support_tunnel.adapters.clouds.openstack import OPENSTACK
from support_tunnel.adapters.clouds.row import CloudRow
from support_tunnel.adapters.clouds.static import STATIC
from support_tunnel.adapters.clouds.vultr import VULTR
from support_tunnel.core.errors import UsageError

__all__ = ["CLOUDS", "CloudRow", "row"]

CLOUDS: Mapping[str, CloudRow] = {
    cloud.name: cloud for cloud in (LOCAL, GCE, EC2, AZURE, OPENSTACK, DIGITALOCEAN, HETZNER, LINODE, VULTR, STATIC)
}


def row(name: str, rows: Mapping[str, CloudRow] = CLOUDS) -> CloudRow:
    """Raises UsageError `cloud.unknown`."""
    try:
        return rows[name]
    except KeyError:
        known = ", ".join(sorted(rows))
        raise UsageError("cloud.unknown", f"there is no cloud {name!r}; there is {known}") from None
