"""Ansible as the oracle: applies a role folder, unchanged, with ansible-playbook, on this machine or on a host reached by ssh.

Nothing it writes outlives the call, and the variables, secrets included, travel in one 0600 file of a private folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support_tunnel.core.secret import Secret

__all__ = ["Counts", "SshHost", "apply_with_ansible"]

RECAP = re.compile(
    r"^oracle\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)\s+skipped=(\d+)", re.MULTILINE
)

_WAY = "way"


@dataclass(frozen=True, slots=True)
class SshHost:
    """A host whose key is known beforehand. `known_hosts` is one line, in OpenSSH's format."""

    address: str
    port: int
    user: str
    private_key: Path
    known_hosts: str


@dataclass(frozen=True, slots=True)
class Counts:
    ok: int
    changed: int
    unreachable: int
    failed: int
    skipped: int
    output: str


class _Variables(yaml.SafeDumper):
    """Strings are data here as in `compile_roles`, which Ansible calls unsafe."""


_Variables.add_representer(str, lambda dumper, text: dumper.represent_scalar("!unsafe", text, style='"'))


def apply_with_ansible(
    roles: Path,
    names: Sequence[str],
    variables: Mapping[str, object],
    *,
    templates: Path,
    host: SshHost | None = None,
    check: bool = False,
    inside: Sequence[str] = (),
    scratch: Path | None = None,
    gather_facts: bool = False,
    timeout: float = 280,
) -> Counts:
    """Run ansible-playbook and count. `host` None: this machine; `inside` goes before the command line (a namespace), and
    `scratch` is a folder that is there too.

    Raises AssertionError with Ansible's output when a task fails or the host cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="oracle-", dir=scratch) as name:
        folder = Path(name)
        (folder / "templates").symlink_to(templates.resolve())
        (folder / "ansible.cfg").touch()  # or one that lies about on this machine would be read
        (folder / "vars.yml").touch(mode=0o600)
        (folder / "vars.yml").write_text(yaml.dump(_plain(variables), Dumper=_Variables, sort_keys=False))
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"oracle": _connection(host, folder)}}}))
        play = {
            "hosts": "oracle",
            "gather_facts": gather_facts,
            "become": host is not None and host.user != "root",
            "roles": list(names),
        }
        (folder / "play.yml").write_text(yaml.safe_dump([play]))
        words = [
            *inside,
            str(Path(sys.executable).parent / "ansible-playbook"),
            *("-i", str(folder / "hosts.yml"), "-e", f"@{folder / 'vars.yml'}", *(["--check"] if check else [])),
            str(folder / "play.yml"),
        ]
        try:
            done = subprocess.run(
                words,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
                env=_environment(folder, roles),
                cwd=folder,
            )
        finally:
            _hang_up(folder)
    output = done.stdout + done.stderr
    found = RECAP.search(done.stdout)
    assert found, output
    ok, changed, unreachable, failed, skipped = (int(number) for number in found.groups())
    counts = Counts(ok, changed, unreachable, failed, skipped, output)
    assert done.returncode == 0, output
    assert counts.failed == counts.unreachable == 0, output
    return counts


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        text = value.reveal()
        return text.decode() if isinstance(text, bytes) else text
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _connection(host: SshHost | None, folder: Path) -> dict[str, object]:
    if host is None:
        return {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    known = folder / "known_hosts"
    known.write_text(host.known_hosts.rstrip("\n") + "\n")
    return {
        "ansible_connection": "ssh",
        "ansible_host": host.address,
        "ansible_port": host.port,
        "ansible_user": host.user,
        "ansible_ssh_private_key_file": str(host.private_key),
        "ansible_ssh_common_args": f"-F none -o UserKnownHostsFile={known} -o GlobalKnownHostsFile=none -o StrictHostKeyChecking=yes"
        f" -o IdentitiesOnly=yes -o ControlMaster=auto -o ControlPersist=yes -o ControlPath={folder / _WAY}",
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def _hang_up(folder: Path) -> None:
    """End the one connection that all tasks of a play shared; a login for each costs more than the task."""
    if (folder / _WAY).exists():
        words = ("ssh", "-F", "none", "-o", f"ControlPath={folder / _WAY}", "-O", "exit", "oracle")
        subprocess.run(words, capture_output=True, timeout=60, check=True)


def _environment(folder: Path, roles: Path) -> dict[str, str]:
    own = {
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
        "ANSIBLE_ROLES_PATH": str(roles.resolve()),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",  # halves the time of every task
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_SSH_ARGS": "",
        "LC_ALL": "C.UTF-8",
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
    }
    return own if os.geteuid() != 0 else {**own, "ANSIBLE_REMOTE_TEMP": str(folder / "remote")}
