"""Build the admin's ports from the settings."""

from __future__ import annotations

import functools
import getpass
import os
import socket
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from support_tunnel.cli import paths
from support_tunnel.cli.admin.proxy import http_proxy
from support_tunnel.cli.admin.server_programs import on_servers, seen_by_local_servers
from support_tunnel.cli.admin.settings import INVENTORY, AdminSettings
from support_tunnel.cli.admin.signer import certified_signer
from support_tunnel.cli.admin.wiring_standing import standing_server
from support_tunnel.cli.secret_source import read_secret
from support_tunnel.cli.tailnet_programs import on_this_machine
from support_tunnel.cli.wiring import wrapped
from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import Certifier, Coordinator, Mailbox, Progress
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.signer import Signer
from support_tunnel.flows.admin.ports import AcceptedRisks, AdminPorts

if TYPE_CHECKING:
    from support_tunnel.adapters.cloud_libcloud import LibcloudCloud

__all__ = ["admin_ports", "one_cloud"]


def admin_ports(
    settings: AdminSettings,
    *,
    progress: Progress | None = None,
    accepted: AcceptedRisks | None = None,
    allow_classical_ssh: bool = False,
) -> AdminPorts:
    """Nothing is contacted here; each port reaches out when it is called."""
    from support_tunnel.adapters.account_disk import DiskAccount
    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
    from support_tunnel.adapters.door_ssh import SshDoor
    from support_tunnel.adapters.ledger_disk import DiskLedger
    from support_tunnel.adapters.memory_folder import user_folder
    from support_tunnel.adapters.own_node import UserspaceNode
    from support_tunnel.adapters.progress import progress_for
    from support_tunnel.adapters.ssh_server import SshConnector
    from support_tunnel.adapters.vault_tmpfs import TmpfsVault

    clock = SystemClock()
    runtime = settings.path(settings.runtime) if settings.runtime else user_folder(os.environ)
    vault = TmpfsVault(runtime)
    own_tailscale = on_this_machine(str(settings.path(settings.own_tailscale)) if settings.own_tailscale else "")

    @functools.cache
    def token() -> Secret[str]:
        """Read when it is first needed, and once: env: takes it out of the environment."""
        return read_secret(settings.token, "the API token")

    def mailbox_for(claim: Secret[bytes] | None) -> Mailbox:
        from support_tunnel.adapters.mailbox_http import HttpMailbox

        if not settings.api:
            raise UsageError(
                "config.api",
                "no API address is set",
                next_step=f"Set support_tunnel.api in {INVENTORY}, or SUPPORT_TUNNEL_API.",
            )
        mailbox = HttpMailbox(
            settings.api,
            clock=clock,
            fingerprint=settings.api_fingerprint or None,
            admin_token=token(),
            claim=claim,
            proxy=http_proxy(settings),
        )
        return wrapped("mailbox", mailbox)

    def signer() -> Signer:
        return certified_signer(settings, now=clock.now())

    certifier: Certifier | None = None
    if settings.session_certificate:
        from support_tunnel.adapters.certifier_command import CommandCertifier

        certifier = wrapped("certifier", CommandCertifier(settings.session_certificate, vault))

    def coordinator_for(url: str, key: Secret[str], authority: str) -> Coordinator:
        from support_tunnel.adapters.headscale.client import HeadscaleClient
        from support_tunnel.adapters.headscale.line import Trust

        client = HeadscaleClient(
            url, key=key, clock=clock, trust=Trust(authority=authority), proxy=http_proxy(settings)
        )
        return wrapped("coordinator", client)

    clouds = {
        name: LibcloudCloud(name, of, clock, secret=read_secret, besides=_besides(name))
        for name, of in settings.clouds.items()
    }
    return AdminPorts(
        clock=clock,
        mailbox_for=mailbox_for,
        clouds={name: wrapped("cloud", cloud) for name, cloud in clouds.items()},
        images={name: wrapped("images", cloud.images()) for name, cloud in clouds.items()},
        cloud=_known(settings, settings.cloud),
        connector=wrapped("connector", SshConnector(clock, allow_classical=allow_classical_ssh)),
        door=wrapped("door", SshDoor(vault, allow_classical=allow_classical_ssh)),
        ledger=wrapped("ledger", DiskLedger(settings.path(settings.state) / "ledger")),
        account=wrapped("account", DiskAccount(settings.path(settings.state) / "account")),
        vault=wrapped("vault", vault),
        progress=progress or progress_for(sys.stderr),
        library=paths.library(),
        signer=signer,
        owner=f"{getpass.getuser()}@{socket.gethostname()}",
        accepted=accepted or AcceptedRisks(),
        certifier=certifier,
        coordinator_for=coordinator_for,
        limits=settings.limits,
        spend_cap=settings.spend_cap,
        programs=functools.cache(lambda: on_servers(settings)),
        standing=functools.cache(lambda: standing_server(settings)),
        own_node=wrapped("own_node", UserspaceNode(runtime / "nodes", own_tailscale, clock)),
    )


def _besides(cloud: str) -> Mapping[str, object]:
    if cloud == "static":
        from support_tunnel.desired import guest

        return {"guests": wrapped("guests", guest)}
    return {"seen": seen_by_local_servers()} if cloud == "local" else {}


def one_cloud(settings: AdminSettings, name: str) -> LibcloudCloud:
    """A cloud of the inventory with all that it can be asked, which is more than flows ask. Raises UsageError `config.*`."""
    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.adapters.cloud_libcloud import LibcloudCloud

    of = settings.clouds[_known(settings, name)]
    return LibcloudCloud(name, of, SystemClock(), secret=read_secret, besides=_besides(name))


def _known(settings: AdminSettings, cloud: str) -> str:
    if cloud not in settings.clouds:
        raise UsageError(
            "config.cloud",
            f"the inventory has no cloud {cloud!r}",
            next_step=f"It has: {', '.join(settings.clouds)}.",
        )
    return cloud
