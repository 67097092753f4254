"""A root shell on a tunnel server, by Fabric, to exactly the host key we put into it (2.10).

Fabric and Paramiko trust by default: any host key, the user's ssh config, agent and keys, any key exchange. All of that
is turned off here, so nobody else may build a `Connection` to a server. The agent, key files and known_hosts of the
person running this are never read, and no secret is written to a file.
"""

from __future__ import annotations

import base64
import binascii
import io
import logging
import shlex
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_shell import GRACE, KILL_AFTER, script_argv, unless_timed_out
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.ports import Clock, Completed
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for

if TYPE_CHECKING:
    from fabric import Connection

__all__ = ["POST_QUANTUM", "SPARING", "ServerShell", "SshConnector", "connect_server"]

POST_QUANTUM = ("mlkem768x25519-sha256",)
"""Post-quantum key exchanges that Paramiko speaks; OpenSSH has it since 9.9."""
KEEPALIVE = 15
ATTEMPT = 10.0
SPARING = 2.0
"""Seconds between looks at another host key: OpenSSH from 9.8 on shuts out who leaves before the login too often."""
LOG = "support_tunnel.paramiko"


class ServerShell:
    """`ports.Shell` on a connected server; a context manager. `channels` counts the SSH channels opened so far.

    `kex` is the key exchange that was agreed on. Paramiko forgets it, so it is known only when one name was offered.
    """

    def __init__(self, connection: Connection, *, clock: Clock, kex: str) -> None:
        self._connection = connection
        self._clock = clock
        self._root = connection.user == "root"
        self.kex = kex
        self.channels = 0

    def run_script(self, script: Secret[str], *, timeout: float) -> Completed:
        from invoke.exceptions import CommandTimedOut, ThreadException
        from paramiko import SSHException

        started = self._clock.monotonic()
        self.channels += 1
        try:
            ended = self._connection.run(
                shlex.join(script_argv(root=self._root, timeout=timeout)),
                in_stream=_Whole(script.reveal()),
                echo_stdin=False,
                hide=True,
                warn=True,
                encoding="utf-8",
                timeout=timeout + KILL_AFTER + GRACE,
            )
        except CommandTimedOut:
            raise self._lost(f"no answer within {timeout:g} seconds", code="host.timeout") from None
        except (SSHException, OSError, EOFError, ThreadException) as error:
            # `from None`: Invoke's exceptions carry the runner's arguments, and with them the script.
            raise self._lost(type(error).__name__) from None
        completed = Completed(status=ended.exited, stdout=ended.stdout, stderr=ended.stderr)
        seconds = self._clock.monotonic() - started
        unless_timed_out(completed, seconds=seconds, timeout=timeout, host=self._connection.host)
        if completed.status == -1:
            raise self._lost("the script was killed, or the connection was lost while it ran")
        return completed

    def close(self) -> None:
        """End the connection; closing twice is fine."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lost(self, reason: str, *, code: str = "host.lost") -> HostError:
        return HostError(code, f"{self._connection.host}: {reason}", next_step="Run the command again.")


def connect_server(
    address: str,
    *,
    port: int = 22,
    user: str,
    private_key: Secret[str],
    host_key: str,
    timeout: float,
    clock: Clock | None = None,
    allow_classical: bool = False,
    first_contact: bool = False,
) -> ServerShell:
    """Connect as soon as the server's sshd answers, for at most `timeout` seconds.

    `host_key` is its `ssh-ed25519 AAAA...` line, `private_key` an unencrypted OpenSSH Ed25519 key. Only an sshd that does
    not answer yet is tried again; raises HostError `ssh.unreachable`, and at once `ssh.hostkey`, `ssh.kex`, `ssh.login`.

    At the `first_contact` an image's own sshd may answer before cloud-init has given it our key. Another key ends the key
    exchange, so nothing was shown to whoever has it and there is no harm in another look: `ssh.hostkey` comes with the end.
    """
    clock = clock or SystemClock()
    reasons: list[str | HostError] = []

    def attempt() -> Connection | None:
        connection = _connection(address, port, user, private_key, host_key, allow_classical)
        try:
            reason = _open(connection)
        except HostError as error:
            connection.close()
            if not (first_contact and error.code == "ssh.hostkey"):
                raise
            reasons.append(error)
            clock.pause(SPARING)
            return None
        except BaseException:
            connection.close()
            raise
        if reason is None:
            return connection
        connection.close()
        reasons.append(reason)
        return None

    try:
        connection = wait_for(attempt, what=f"ssh to {address}", seconds=timeout, clock=clock)
    except HostError as error:
        if error.code != "wait.timeout":
            raise
        last = reasons[-1]
        if isinstance(last, HostError):
            raise last from None
        raise HostError(
            "ssh.unreachable",
            f"{address} port {port} did not answer by ssh within {timeout:g} seconds ({last})",
            next_step="Check that the server runs and that its firewall lets you in.",
        ) from error
    connection.transport.set_keepalive(KEEPALIVE)
    return ServerShell(connection, clock=clock, kex="unknown" if allow_classical else POST_QUANTUM[0])


class SshConnector:
    """`ports.Connector`: `connect_server` with the clock and the policy of this process."""

    def __init__(self, clock: Clock, *, allow_classical: bool = False) -> None:
        self._clock = clock
        self._allow_classical = allow_classical

    def connect(
        self,
        address: str,
        *,
        user: str,
        private_key: Secret[str],
        host_key: str,
        timeout: float,
        first_contact: bool = False,
    ) -> ServerShell:
        return connect_server(
            address,
            user=user,
            private_key=private_key,
            host_key=host_key,
            timeout=timeout,
            clock=self._clock,
            allow_classical=self._allow_classical,
            first_contact=first_contact,
        )


def _connection(
    address: str, port: int, user: str, private_key: Secret[str], host_key: str, allow_classical: bool
) -> Connection:
    from fabric import Config, Connection
    from paramiko import Ed25519Key, RejectPolicy, SSHException, Transport

    try:
        pinned = Ed25519Key(data=base64.b64decode(host_key.split()[1], validate=True))
        identity = Ed25519Key.from_private_key(io.StringIO(private_key.reveal()))
    except (ValueError, IndexError, binascii.Error, SSHException):
        raise UsageError("ssh.key", f"the keys for {address} are not Ed25519 keys as OpenSSH writes them") from None
    refused = [] if allow_classical else [name for name in Transport._kex_info if name not in POST_QUANTUM]
    connection = Connection(
        address,
        port=port,
        user=user,
        # Lazy: a fabric.yaml of this machine could turn on a gateway, another user, a pty.
        config=Config(lazy=True, overrides={"load_ssh_configs": False, "run": {"in_stream": False}}),
        connect_timeout=ATTEMPT,
        connect_kwargs={
            "pkey": identity,
            "allow_agent": False,
            "look_for_keys": False,
            "banner_timeout": ATTEMPT,
            "auth_timeout": ATTEMPT,
            "disabled_algorithms": {"kex": refused},
        },
    )
    # Paramiko prints tracebacks to stderr by way of logging's last resort when nobody listens.
    logging.getLogger(LOG).addHandler(logging.NullHandler())
    connection.client.set_log_channel(LOG)
    connection.client.set_missing_host_key_policy(RejectPolicy())
    name = address if port == 22 else f"[{address}]:{port}"
    connection.client.get_host_keys().add(name, pinned.get_name(), pinned)
    return connection


def _open(connection: Connection) -> str | None:
    """Open it; return why not when trying again may help. Raises HostError when it may not."""
    from paramiko import AuthenticationException, BadHostKeyException, SSHException
    from paramiko.ssh_exception import IncompatiblePeer

    try:
        connection.open()
    except BadHostKeyException:
        raise HostError(
            "ssh.hostkey",
            f"{connection.host} shows another host key than the one put into it: somebody may be answering for the server",
            next_step="Stop this tunnel (its server is destroyed) and make a new one; tell whoever runs the network.",
        ) from None
    except IncompatiblePeer as error:
        raise _incompatible(connection, error) from None
    except AuthenticationException:
        raise HostError(
            "ssh.login",
            f"{connection.host} did not let {connection.user} in with the key of this tunnel",
            next_step="Stop this tunnel and make a new one.",
        ) from None
    except (SSHException, OSError, EOFError) as error:
        return str(error) or type(error).__name__
    return None


def _incompatible(connection: Connection, error: Any) -> HostError:
    transport = connection.client.get_transport()
    version = transport.remote_version if transport else "unknown"
    if "kex" in str(error):
        return HostError(
            "ssh.kex",
            f"{connection.host} ({version}) has no post-quantum key exchange that this program speaks",
            next_step="Use an image with OpenSSH 9.9 or newer, or accept the risk by typing --allow-classical-ssh.",
        )
    return HostError("ssh.protocol", f"{connection.host} ({version}) and this program have no algorithms in common")


class _Whole(io.StringIO):
    """Text given out in one read: Invoke reads one character per 10 ms, 4 seconds for 400 bytes."""

    def read(self, size: int | None = -1, /) -> str:
        return super().read()
