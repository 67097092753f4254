"""The way into a device's session: the system's own `ssh`, through the tunnel server or this machine's own node (2.10, 2.11).

By `ssh` and not by Paramiko, because older devices have only sntrup761, which Paramiko lacks. The private keys never
leave this machine, the server only forwards bytes. Must not put a secret on a command line, and must not mistake what
ssh says for what the device said.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from support_tunnel.adapters import processes, sftp_batch
from support_tunnel.adapters.ssh_device import DEVICE, Files, Hop, key_exchanges, known_hosts, ssh_config
from support_tunnel.adapters.ssh_failure import failure_of
from support_tunnel.core.errors import HostError, UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Completed, Hops, ThroughOwnNode, ThroughServer, Vault
from support_tunnel.core.secret import Secret

__all__ = ["DEVICE_KEY", "SERVER_KEY", "SshDoor"]

SERVER_KEY, DEVICE_KEY = "login-key", "session-key"
"""Names in the vault of the private keys for the two hops (ports.Door)."""
DEVICE_CERTIFICATE = "session-key-cert.pub"
"""There, and not empty, where an organisation certified the device's key."""
CONFIG, KNOWN_HOSTS, SERVER_LOG, DEVICE_LOG = "ssh-config", "ssh-known-hosts", "ssh-server-log", "ssh-device-log"
SSH_FAILED = 255
CUT = " closed by remote host.\r\n"
"""The one failure ssh tells on stderr and not in its log (clientloop.c); a device that forges it says the same of itself."""
LISTENS = "listens"
NO_DEADLINE = 24 * 3600.0
"""Seconds; no tunnel lives longer (2.5)."""


class SshDoor:
    """`ports.Door`. Each `fab` call is a process of its own: what `prepare` wrote into the vault is all that it knows."""

    def __init__(self, vault: Vault, *, allow_classical: bool = False, server_port: int = 22) -> None:
        self._vault = vault
        self._allow_classical = allow_classical
        self._server_port = server_port

    def prepare(self, tunnel: TunnelId, hops: Hops) -> None:
        """Raises HostError `ssh.kex`, and UsageError `ssh.value` for what cannot stand in an ssh configuration."""
        path, certified = self._vault.path, self._vault.get(tunnel, DEVICE_CERTIFICATE)
        kex = key_exchanges(allow_classical=self._allow_classical)
        try:
            first = self._first(tunnel, hops.through)
            device = Hop(
                hops.device_address,
                hops.device_user,
                hops.device_host_key,
                identity_file=path(tunnel, DEVICE_KEY),
                port=hops.device_port,
                certificate_file=path(tunnel, DEVICE_CERTIFICATE) if certified and certified.reveal() else "",
            )
            config = ssh_config(first=first, device=device, files=self._files(tunnel), kex=kex)
        except ValueError as error:
            raise UsageError(
                "ssh.value",
                str(error),
                next_step="If it is the folder of the vault: name one without special characters.",
            ) from error
        for log in (SERVER_LOG, DEVICE_LOG):
            self._vault.put(tunnel, log, Secret(b""))  # made by us, so that they are 0600 whatever the umask
        self._vault.put(tunnel, KNOWN_HOSTS, Secret(known_hosts(first=first, device=device).encode()))
        self._vault.put(tunnel, CONFIG, Secret(config.encode()))

    def _first(self, tunnel: TunnelId, through: ThroughServer | ThroughOwnNode) -> Hop | tuple[str, ...]:
        if isinstance(through, ThroughOwnNode):
            return through.words
        return Hop(
            through.address,
            through.user,
            through.host_key,
            identity_file=self._vault.path(tunnel, SERVER_KEY),
            port=self._server_port,
        )

    def command(self, tunnel: TunnelId, command: str, *, timeout: float | None) -> Completed:
        """Raises HostError `ssh.*`, `host.lost`, `process.timeout`; WrongState `tunnel.door` before `prepare`."""
        argv, before = self._argv(tunnel, "-T", command), self._logged(tunnel)
        ended = processes.run(argv, timeout=timeout or NO_DEADLINE, accept=None)
        self._refuse_failure(tunnel, ended.status, before)
        if ended.status == SSH_FAILED and ended.stderr.endswith(CUT):
            raise HostError("host.lost", "the connection to the device was lost", next_step="Run the command again.")
        return ended

    def terminal(self, tunnel: TunnelId) -> int:
        """Give this terminal to a shell on the device. Raises as `command`."""
        argv, before = self._argv(tunnel, "-t"), self._logged(tunnel)
        status = processes.interactive(argv)
        self._refuse_failure(tunnel, status, before)
        return status

    def put(self, tunnel: TunnelId, local: str, remote: str, *, replace: bool) -> None:
        """Under another name first, so that nobody there ever sees half a file. Raises as `core.ports.Door`."""
        if not Path(local).is_file():
            raise UsageError("file.local", f"{local} is not a file that can be read")
        if not replace and self._sftp(tunnel, sftp_batch.listing(remote)).status == 0:
            raise UsageError(
                "file.exists", f"{remote} is there already on the device", next_step="Give --force to replace it."
            )
        part = f"{remote}.{secrets.token_hex(4)}.part"
        done = self._sftp(tunnel, sftp_batch.putting(str(Path(local).resolve()), part, remote, replace=replace))
        if done.status:
            self._sftp(tunnel, sftp_batch.removing(part))
            raise sftp_batch.failure_of_copy(done.stderr)

    def fetch(self, tunnel: TunnelId, remote: str, local: str, *, replace: bool) -> None:
        """Into a folder of our own first: neither name nor mode of what arrives is the device's choice until it is whole."""
        target = Path(local).absolute()
        if not replace and os.path.lexists(target):
            raise _is_there(local)
        try:
            with tempfile.TemporaryDirectory(prefix=".support-tunnel-", dir=target.parent) as folder:
                arrived = Path(folder) / "file"
                done = self._sftp(tunnel, sftp_batch.fetching(remote, str(arrived)))
                if done.status:
                    raise sftp_batch.failure_of_copy(done.stderr)
                arrived.chmod(arrived.stat().st_mode & 0o777)
                if replace:
                    arrived.replace(target)
                else:
                    os.link(arrived, target)
        except FileExistsError:
            raise _is_there(local) from None
        except OSError as error:
            raise UsageError("file.local", f"{local} cannot be written: {error.strerror}") from None

    def forward(self, tunnel: TunnelId, port: int, local_port: int, *, opened: Callable[[], None]) -> None:
        argv, before = self._argv(tunnel, "-N"), self._logged(tunnel)
        # ssh runs the local command once it listens; without it nobody could say when.
        listens = (
            "-o",
            "ExitOnForwardFailure=yes",
            "-o",
            "PermitLocalCommand=yes",
            "-o",
            f"LocalCommand=echo {LISTENS}",
        )
        argv[1:1] = [*listens, "-L", f"127.0.0.1:{local_port}:127.0.0.1:{port}"]
        with processes.streaming(argv) as ssh:
            if ssh.line() == LISTENS:
                opened()
            ended = ssh.end(timeout=NO_DEADLINE)
        if "Address already in use" in self._said(tunnel, before):
            raise UsageError(
                "port.busy", f"port {local_port} of this machine is in use", next_step="Name another: PORT:LOCALPORT."
            )
        self._refuse_failure(tunnel, ended.status, before)
        raise HostError(
            "host.lost", "the connection to the device was lost", next_step="See `fab get` and start it again."
        )

    def _sftp(self, tunnel: TunnelId, batch: str) -> Completed:
        """One connection for one batch. ssh is started by sftp but keeps its own log, which no word of the device reaches."""
        argv, before = self._argv(tunnel, "-s"), self._logged(tunnel)
        through = " ".join([*argv[: argv.index("--")], "sftp"])
        done = processes.run(
            ["sftp", "-q", "-b", "-", "-D", through], stdin=batch.encode(), timeout=NO_DEADLINE, accept=None
        )
        if done.status:
            said = self._said(tunnel, before)
            if "subsystem request failed" in said:
                raise sftp_batch.failure_of_copy(said)
            self._refuse_failure(tunnel, SSH_FAILED, before)
        return done

    def _said(self, tunnel: TunnelId, before: tuple[int, int]) -> str:
        return Path(self._files(tunnel).device_log).read_bytes()[before[1] :].decode(errors="replace")

    def _files(self, tunnel: TunnelId) -> Files:
        return Files(*(self._vault.path(tunnel, name) for name in (CONFIG, KNOWN_HOSTS, SERVER_LOG, DEVICE_LOG)))

    def _argv(self, tunnel: TunnelId, terminal: str, *command: str) -> list[str]:
        if self._vault.get(tunnel, CONFIG) is None:
            raise WrongState(
                "tunnel.door",
                "this machine holds no way to the device of this tunnel",
                next_step="Run this where the tunnel was answered; `fab list` shows the tunnels of this machine.",
            )
        files = self._files(tunnel)
        return ["ssh", "-F", files.config, "-E", files.device_log, terminal, DEVICE, "--", *command]

    def _logged(self, tunnel: TunnelId) -> tuple[int, int]:
        files = self._files(tunnel)
        return Path(files.server_log).stat().st_size, Path(files.device_log).stat().st_size

    def _refuse_failure(self, tunnel: TunnelId, status: int, before: tuple[int, int]) -> None:
        """Raise when ssh itself failed: it ends with 255 as a command may, but only ssh writes to its logs.

        The server's log first: when that hop fails, the one to the device has nothing but a consequence to tell.
        """
        if status != SSH_FAILED:
            return
        files = self._files(tunnel)
        logs = (
            (files.server_log, "tunnel server"),
            (files.device_log, "device"),
        )  # an own node says none of a server's words
        for (log, hop), seen in zip(logs, before, strict=True):
            said = Path(log).read_bytes()[seen:].decode(errors="replace")
            if failure := failure_of(said, hop=hop):
                raise failure


def _is_there(local: str) -> UsageError:
    return UsageError("file.exists", f"{local} is there already", next_step="Give --force to replace it.")
