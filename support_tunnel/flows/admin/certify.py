"""Have the session's key certified, where the inventory says who does that: a device in mode B takes no key itself (2.9)."""

from __future__ import annotations

from datetime import timedelta

from support_tunnel.core import addressing
from support_tunnel.core.names import Names
from support_tunnel.core.own_certificates import session_certificate
from support_tunnel.core.secret import Secret
from support_tunnel.core.session_wish import EARLIER, SessionWish
from support_tunnel.core.st1.admin import AdminSession
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.record import IDENTITY, SESSION_CERTIFICATE, Reached

__all__ = ["certify"]


def certify(ports: AdminPorts, session: AdminSession, reached: Reached) -> None:
    """Put the certificate into the vault, valid by the device's clock as M3 told it. Raises HostError `certificate.*`."""
    named = ports.vault.get(session.tunnel, IDENTITY)
    if ports.certifier is None or named is None:
        if not session.answer.signer.startswith("ssh-ed25519 "):
            ports.progress.note(
                "You have a certificate, and no session_certificate is set: a device of your organisation will not let you log in."
            )
        return
    ports.progress.step("Asking your organisation for a certificate for this session")
    wish = SessionWish(
        public_key=session.answer.ssh_keys[0],
        principal=Names(session.tunnel).principal,
        identity=named.reveal().decode(),
        after=session.confirmed - EARLIER,
        before=session.confirmed + timedelta(seconds=session.answer.ttl),
        # Of every path: the device's own choice is not known yet.
        source=",".join(
            dict.fromkeys(
                source for path in session.answer.paths for source in addressing.sources_along(path, reached.network)
            )
        ),
        forwards=bool(session.answer.scope.ports),
    )
    line = session_certificate(ports.certifier.certify(session.tunnel, wish), wish)
    ports.vault.put(session.tunnel, SESSION_CERTIFICATE, Secret(f"{line}\n".encode()))
