"""Judge whether an admin's machine can answer a request, from facts that others gathered; `device_health` for the other side.

Pure, so that each judgement can be shown a machine that no test machine is. Every verdict that is not ok says what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from support_tunnel.core.device_health import Check, failure
from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.kex import POST_QUANTUM_KEX

__all__ = [
    "SecretFile",
    "judge_clouds",
    "judge_own_node",
    "judge_private_file",
    "judge_root",
    "judge_ssh",
    "judge_vault",
]


@dataclass(frozen=True, slots=True)
class SecretFile:
    """`mode` is None for one that is not there; `ours`: it belongs to whoever asks."""

    path: str
    mode: int | None
    ours: bool = True


def judge_ssh(kex: Iterable[str] | None) -> Check:
    """`kex`: what `ssh -Q kex` lists; None when there is no ssh."""
    if kex is None:
        return Check("ssh", "fail", "there is no ssh on this machine", "Install OpenSSH 9.0 or newer.")
    known = set(kex)
    best = next((name for name in POST_QUANTUM_KEX if name in known), None)
    if best is None:
        return Check("ssh", "fail", "this ssh has no post-quantum key exchange", "Install OpenSSH 9.0 or newer.")
    return Check("ssh", "ok", f"it speaks {best}")


def judge_private_file(name: str, file: SecretFile, *, absent: str) -> Check:
    """`absent` is what to do when it is not there."""
    if file.mode is None:
        return Check(name, "fail", f"{file.path} is not there", absent)
    if not file.ours:
        return Check(
            name, "fail", f"{file.path} belongs to somebody else", f"Make it yours: chown, then chmod 600 {file.path}"
        )
    if file.mode & 0o077:
        return Check(name, "fail", f"others may reach {file.path} (mode {file.mode:04o})", f"Run chmod 600 {file.path}")
    return Check(name, "ok", f"only you can read {file.path}")


def judge_vault(folder: str, *, in_memory: bool, fix: str = "Set `runtime` to a folder on a tmpfs.") -> Check:
    if in_memory:
        return Check("vault", "ok", f"session keys stay in memory ({folder})")
    return Check("vault", "fail", f"session keys would be written to a disk ({folder})", fix)


def judge_own_node(lacks: SupportTunnelError | None, *, wanted: bool, left: Sequence[str]) -> Check:
    """`lacks`: why this machine cannot be a node; `wanted`: the inventory names a standing Headscale server; `left`: short ids of
    tunnels whose node has ended and was not cleared away."""
    if left:
        return Check(
            "own node",
            "warn",
            f"a node of this machine has ended and left something: {', '.join(left)}",
            "Run fab sweep",
        )
    if lacks is None:
        return Check("own node", "ok", "this machine can be a node of a tunnel's network")
    if wanted:
        return failure("own node", lacks)
    return Check("own node", "ok", "nothing asks this machine to be a node of a tunnel's network")


def judge_root(clouds: Iterable[str], *, uid: int) -> Check:
    """The local cloud boots nodes on this machine, which only root may."""
    if "local" not in clouds or uid == 0:
        return Check("root", "ok", "no cloud of the inventory needs more rights than these")
    return Check(
        "root", "warn", "the cloud `local` needs root", "Run fab with sudo, or name another cloud in the inventory."
    )


def judge_clouds(found: Mapping[str, str]) -> list[Check]:
    """`found`: by cloud what went wrong when it was asked for our servers, empty when nothing did."""
    return [
        Check(f"cloud {name}", "fail", said, f"Run fab doctor --cloud {name}")
        if said
        else Check(f"cloud {name}", "ok", "it answers")
        for name, said in found.items()
    ]
