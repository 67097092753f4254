"""How each tool applies the role of the bench to one node: the command line that its own documentation gives.

Each gets its best ordinary case: no facts gathered, the interpreter known, host keys pinned so that nobody is asked.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import children
from bench.children import Ended
from bench.fresh_node import FreshNode
from bench.peers import install_peers, mitogen_strategies
from bench.places import REPOSITORY, ROLES, program

__all__ = ["OURS", "PEERS", "Target", "Tool"]


@dataclass(frozen=True, slots=True)
class Target:
    """A node as a tool reaches it, perhaps by a proxy; `folder` is this run's own."""

    node: FreshNode
    address: str
    port: int
    folder: Path

    @property
    def known_hosts(self) -> Path:
        file = self.folder / "known_hosts"
        plain = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        file.write_text(f"{plain} {self.node.host_key}\n")
        return file


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    apply: Callable[[Target], Ended]
    """One run of the whole program; connecting belongs to it."""


def _ours(target: Target) -> Ended:
    words: list[str | Path] = [target.address, str(target.port), target.node.host_key, target.node.key_file]
    return children.run([sys.executable, "-m", "bench.apply_ours", *words], folder=REPOSITORY)


@dataclass(frozen=True, slots=True)
class Ansible:
    programs: Callable[[], Path]
    settings: Callable[[], Mapping[str, str]] = field(default=dict)

    def __call__(self, target: Target) -> Ended:
        options = f"-F none -o UserKnownHostsFile={target.known_hosts} -o IdentitiesOnly=yes"
        inventory = target.folder / "inventory.ini"
        inventory.write_text(
            f"node ansible_host={target.address} ansible_port={target.port} ansible_user=root "
            f"ansible_ssh_private_key_file={target.node.key_file} ansible_python_interpreter=/usr/bin/python3 "
            f"ansible_ssh_common_args='{options}'\n"
        )
        home = target.folder / "ansible"
        home.mkdir(exist_ok=True)
        config = home / "ansible.cfg"
        config.write_text("[defaults]\n")  # else one of the machine's could be found
        env = {
            "ANSIBLE_CONFIG": str(config),
            "ANSIBLE_HOME": str(home),
            "ANSIBLE_ROLES_PATH": str(ROLES),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(home / "cp"),
            **self.settings(),
        }
        with _no_masters_left(home / "cp"):
            argv: list[str | Path] = [self.programs() / "ansible-playbook", "-i", inventory, ROLES / "playbook.yml"]
            return children.run(argv, folder=target.folder, env=env)


@contextmanager
def _no_masters_left(sockets: Path) -> Iterator[None]:
    """End the connections that ssh keeps open for a minute in the background; so each run pays for its own."""
    try:
        yield
    finally:
        for socket in sockets.glob("*") if sockets.is_dir() else ():
            subprocess.run(
                ["ssh", "-F", "none", "-o", f"ControlPath={socket}", "-O", "exit", "node"],
                check=False, capture_output=True, timeout=10,
            )  # fmt: skip


def _mitogen() -> Mapping[str, str]:
    return {"ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": str(mitogen_strategies())}


def _pyinfra(target: Target) -> Ended:
    inventory = target.folder / "inventory.py"
    data = {
        "ssh_port": target.port,
        "ssh_user": "root",
        "ssh_key": str(target.node.key_file),
        "ssh_known_hosts_file": str(target.known_hosts),
        "ssh_strict_host_key_checking": "yes",
        "ssh_allow_agent": False,
        "ssh_look_for_keys": False,
    }
    inventory.write_text(f"hosts = [({target.address!r}, {data!r})]\n")
    argv: list[str | Path] = [install_peers() / "pyinfra", "-y", inventory, ROLES / "deploy.py"]
    return children.run(argv, folder=target.folder)


def _own_programs() -> Path:
    return program("ansible-playbook").parent


PEERS = (
    Tool("ansible", Ansible(_own_programs)),
    Tool("ansible, pipelining", Ansible(_own_programs, lambda: {"ANSIBLE_PIPELINING": "1"})),
    Tool("mitogen", Ansible(install_peers, _mitogen)),
    Tool("pyinfra", _pyinfra),
)
OURS = Tool("ours", _ours)
