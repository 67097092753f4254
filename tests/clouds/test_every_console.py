"""What a server wrote on its console, from every cloud that keeps it."""

from __future__ import annotations

from tests.clouds.rest import Rest
from tests.clouds.test_every_cloud import Site, spec

KEEP_CONSOLES = ("ec2", "gce", "openstack")
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----"


def test_what_a_server_wrote_on_its_console_is_told_where_its_cloud_keeps_it(site: Site) -> None:
    """It is a stranger's text: what could be a key or could steer a terminal stays out."""
    made = site.cloud.create(spec())
    played = isinstance(site.provider, Rest)
    if isinstance(site.provider, Rest):
        site.provider.written = f"first\n{KEY}\n\x1b[2J\ncloud-init\x1b[31m failed\r\n" + "x" * 500
    told = site.another().console(made.id)
    assert bool(told) == (site.provider.name in KEEP_CONSOLES)
    if told and played:
        assert told == ["first", "[2J", "cloud-init [31m failed", "..."]
    assert site.cloud.console("nothing-of-ours") == []
