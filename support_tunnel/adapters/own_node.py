"""This machine as a node of one tunnel's network: a tailscaled of its own, without an interface, as the user, in memory only.

Nothing of this machine changes: no route, no name server, no address, no port that answers; only who has the socket in the session's
private folder can go through it. It runs on by itself from one `fab` call to the next and ends by itself at its time, also when
everything of ours was killed: `timeout` waits for that and does nothing else, and takes tailscaled with it if it is killed too.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from support_tunnel.adapters import node_processes, processes
from support_tunnel.adapters.memory_folder import how_to_have_one, lies_in_memory
from support_tunnel.adapters.private_files import PrivateFolder
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.names import TunnelId, parse_tunnel_id
from support_tunnel.core.ports import Clock, Completed, Joining, Way
from support_tunnel.core.waiting import wait_for

__all__ = ["UserspaceNode"]

PROGRAMS = ("tailscale", "tailscaled")
BESIDES = ("setsid", "timeout", "prlimit", "setpriv")
"""coreutils and util-linux."""
JOIN_SECONDS = 30
LONGEST_SOCKET = 107
"""unix(7)."""
_TUNNEL = re.compile(r"[0-9a-f]{32}")
_SOCKET, _KEY, _AUTHORITY, _LOG, _STATE = "socket", "key", "authority.pem", "log", "state"
_REASONS = (
    ("x509: certificate has expired", "its certificate is not valid now", "Is the clock right, here and there?"),
    ("x509: ", "its certificate is not by the authority that was named", "Somebody may be answering for it: tell whoever runs it."),
    ("already used", "the join key was used before", "A key is for one join: make new ones (`fab stop ID`, and a new code)."),
    ("expired", "the join key has expired", "Ask the owner for a new code, and be quicker."),
    ("invalid", "it does not know the join key", "Is it the server that the key was made on?"),
)  # fmt: skip
"""What `tailscale up` and tailscaled's log say (Headscale 0.29, hscontrol/types/preauth_key.go), told apart; first match wins."""


class UserspaceNode:
    """`ports.OwnNode` under `folder`, by the programs in the folder `programs`, or on the PATH where that is empty."""

    def __init__(self, folder: Path, programs: str, clock: Clock) -> None:
        self._folder = folder
        self._programs = programs
        self._clock = clock

    def require(self) -> None:
        if not sys.platform.startswith("linux"):
            raise _lacks("a machine with Linux", "Have the tunnel go through a server of its own: --server own.")
        for program in (*PROGRAMS, *BESIDES):
            if shutil.which(self._program(program), path=processes.environment()["PATH"]) is None:
                raise _lacks(
                    f"the program {program}",
                    "Install Tailscale (its service need not run), or name the folder of its programs: own_tailscale.",
                )
        longest = self._home(TunnelId("0" * 32)).path / _SOCKET
        if len(str(longest)) > LONGEST_SOCKET:
            raise _lacks("a shorter path for the session's folder", "Set `runtime` to one.")

    def join(self, tunnel: TunnelId, joining: Joining) -> str:
        """Raises as `core.ports.OwnNode`; a later `join` finds the node and changes nothing."""
        if address := self.address(tunnel):
            return address
        self.require()
        self.leave(tunnel)
        try:
            home = self._made(tunnel)
            home.write(_AUTHORITY, joining.authority.encode())
            home.write(_KEY, joining.key.reveal().encode())
            self._start(tunnel, joining)
            self._up(tunnel, joining.control)
            home.erase_one(_KEY)
            return wait_for(
                lambda: self.address(tunnel),
                what="this machine's address in the network",
                seconds=10,
                clock=self._clock,
            )
        except BaseException:
            self.leave(tunnel)
            raise

    def address(self, tunnel: TunnelId) -> str | None:
        if not self._socket(tunnel).exists():
            return None
        told = self._tailscale(tunnel, "status", "--json", "--peers=false")
        with suppress(ValueError, KeyError, TypeError):
            status = json.loads(told.stdout)
            if status["BackendState"] == "Running":
                return next((str(address) for address in status["Self"]["TailscaleIPs"] if ":" in address), None)
        return None

    def way_to(self, tunnel: TunnelId, peer: str) -> Way:
        if not self._socket(tunnel).exists():
            return ""
        said = self._tailscale(tunnel, "ping", "-c", "3", "--timeout", "3s", peer).stdout
        answers = [line for line in said.splitlines() if line.startswith("pong ")]
        # The last counts: the first one often comes by the relay, until the two ends have found each other.
        return "" if not answers else "relay" if " via DERP(" in answers[-1] else "direct"

    def through(self, tunnel: TunnelId) -> tuple[str, ...]:
        return (self._found("tailscale"), f"--socket={self._socket(tunnel)}", "nc")

    def leave(self, tunnel: TunnelId) -> None:
        """Say goodbye to the server if it is there, else be gone after four seconds."""
        home = self._home(tunnel)
        if sys.platform.startswith("linux"):
            node_processes.end_all(self._socket(tunnel), clock=self._clock)
        shutil.rmtree(home.path / _STATE, ignore_errors=True)
        home.erase()
        for folder in (self._folder, self._folder.parent):
            with suppress(OSError):  # not empty, or not there
                folder.rmdir()

    def tunnels(self) -> Sequence[TunnelId]:
        names = set(PrivateFolder(self._folder, secret=True).names())
        if sys.platform.startswith("linux"):
            names |= {socket.parent.name for socket in node_processes.sockets_under(self._folder)}
        return sorted(parse_tunnel_id(name) for name in names if _TUNNEL.fullmatch(name))

    def _made(self, tunnel: TunnelId) -> PrivateFolder:
        home = self._home(tunnel)
        home.make()
        if not lies_in_memory(home.path):
            raise UsageError(
                "vault.disk",
                f"{home.path} is on a disk, and session secrets may lie in memory only",
                next_step=how_to_have_one(),
            )
        (home.path / _STATE).mkdir(mode=0o700)
        return home

    def _start(self, tunnel: TunnelId, joining: Joining) -> None:
        home, state = self._home(tunnel).path, self._home(tunnel).path / _STATE
        processes.launch(
            [
                *("setsid", "--fork", "timeout", "--kill-after=5s", f"{joining.seconds}s"),
                # No core file, which would hold the keys; and no life without the one who waits for its end.
                *("prlimit", "--core=0", "setpriv", "--pdeathsig", "KILL"),
                *(self._found("tailscaled"), "--tun=userspace-networking", "--port=0", "--state=mem:"),
                *(f"--statedir={state}", f"--socket={home / _SOCKET}", "--no-logs-no-support"),
            ],
            output=home / _LOG,
            env=_surroundings(home, state, authority=bool(joining.authority)),
        )
        wait_for(
            lambda: self._socket(tunnel).exists() or None, what="tailscaled", seconds=JOIN_SECONDS, clock=self._clock
        )

    def _up(self, tunnel: TunnelId, control: str) -> None:
        """Every flag: no name server, no routes, nobody comes in."""
        home = self._home(tunnel).path
        done = self._tailscale(
            tunnel,
            *("up", f"--login-server={control}", f"--auth-key=file:{home / _KEY}", f"--hostname=st-{tunnel[:8]}-admin"),
            *("--accept-dns=false", "--accept-routes=false", "--advertise-routes=", "--ssh=false", "--shields-up"),
            f"--timeout={JOIN_SECONDS}s",
        )
        if done.status == 0:
            return
        said = done.stderr + done.stdout
        if "timeout" in said:
            said += (home / _LOG).read_text(errors="replace")  # why is not told to the one who waits
        for sign, message, next_step in _REASONS:
            if sign in said:
                raise HostError(
                    "node.join", f"the Headscale server did not take this machine in: {message}", next_step=next_step
                )
        raise HostError(
            "node.join",
            f"this machine did not become a node of the tunnel's network within {JOIN_SECONDS} seconds",
            next_step=f"Is {control} to be reached from here? This goes through no proxy.",
        )

    def _tailscale(self, tunnel: TunnelId, *words: str) -> Completed:
        program = [self._found("tailscale"), f"--socket={self._socket(tunnel)}"]
        return processes.run([*program, *words], timeout=JOIN_SECONDS + 30, accept=None)

    def _home(self, tunnel: TunnelId) -> PrivateFolder:
        return PrivateFolder(self._folder / parse_tunnel_id(tunnel), secret=True)

    def _socket(self, tunnel: TunnelId) -> Path:
        return self._home(tunnel).path / _SOCKET

    def _program(self, name: str) -> str:
        return f"{self._programs}/{name}" if self._programs and name in PROGRAMS else name

    def _found(self, name: str) -> str:
        """Its whole path: what ssh runs later is what was found now."""
        return shutil.which(self._program(name), path=processes.environment()["PATH"]) or self._program(name)


def _surroundings(home: Path, state: Path, *, authority: bool) -> Mapping[str, str]:
    trust = {
        # Both: the first replaces the machine's file of authorities, and beside it Go reads all of its folder. There is none there.
        "SSL_CERT_FILE": str(home / _AUTHORITY),
        "SSL_CERT_DIR": str(home / "no-others"),
    }
    return {
        "HOME": str(state),
        "TS_LOGS_DIR": str(state),
        "TS_NO_LOGS_NO_SUPPORT": "true",
        # Else it asks the router to open a port, which would outlast the session.
        "TS_DISABLE_PORTMAPPER": "true",
        **(trust if authority else {}),
    }


def _lacks(what: str, next_step: str) -> UsageError:
    return UsageError(
        "node.programs", f"to be a node of a tunnel's network, this machine lacks {what}", next_step=next_step
    )
