"""`fab converge ROLE -H HOST|GROUP`: any role of roles/, on hosts of the inventory, many at a time."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from support_tunnel.cli import paths
from support_tunnel.cli.boundary import INTERRUPTED, verb
from support_tunnel.core.errors import HostError, UsageError

if TYPE_CHECKING:
    from support_tunnel.flows.admin.converge import Outcome, Target

__all__ = ["converge"]

DRIFT = 2
"""Exit status of --check when a host is not as the role says; terraform's `-detailed-exitcode` uses the same."""


@verb(
    positional=("role",),
    flags={
        "role": "a role of roles/, or several with commas between",
        "H": "hosts and groups of the inventory, with commas between; all: every one",
        "limit": "of these only the hosts that are also in this list",
        "check": "change nothing; exit 2 when something would change",
        "diff": "show how files change; never of tasks with no_log, nor of files that hold a secret",
        "forks": "hosts at a time",
        "inventory": "file or folder of Ansible's YAML inventory (default inventory/, installed ~/.config/support_tunnel/inventory)",
        "allow-classical-ssh": "accept hosts whose ssh has no post-quantum key exchange",
        "json": "one line of JSON, for programs",
    },
)
def converge(
    c: Context,
    role: str,
    H: str = "",
    limit: str = "",
    check: bool = False,
    diff: bool = False,
    forks: int = 10,
    inventory: str = "",
    allow_classical_ssh: bool = False,
    json: bool = False,
) -> None:
    """Apply a role to hosts of the inventory, in parallel.

    The same again changes nothing.
    """
    from support_tunnel.adapters.at_once import at_once
    from support_tunnel.adapters.progress import progress_for
    from support_tunnel.cli.admin import converge_output as output
    from support_tunnel.flows.admin import converge as flow

    # With -H before the task's name Fabric has taken it, and would run this once a host, one after the other.
    if not H or hasattr(c, "host"):
        raise UsageError(
            "usage.hosts",
            "say which hosts, after the name of the role",
            next_step="fab converge ROLE -H HOST|GROUP|all",
        )
    if forks < 1:
        raise UsageError("usage.range", "--forks is a positive number")
    targets = _targets(Path(inventory) if inventory else paths.inventory(), H, limit, allow_classical_ssh)
    roles = [name.strip() for name in role.split(",")]
    runner = functools.partial(at_once, forks=forks)
    outcomes = flow.converge(targets, roles, paths.library(), at_once=runner, check=check, diff=diff)
    progress = progress_for(sys.stderr)
    many = f"{len(targets)} host{'s' if len(targets) > 1 else ''}"
    progress.step(f"{'checking' if check else 'converging'} {many}")
    done: list[Outcome] = []
    try:
        for outcome in outcomes:
            done.append(outcome)
            progress.note(f"{outcome.host}: {output.word(outcome)} ({len(done)} of {len(targets)})")
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted: hosts that were begun have been finished, no other was touched.\n")
        raise SystemExit(INTERRUPTED) from None
    finally:
        progress.end()
    order = [target.name for target in targets]
    done.sort(key=lambda outcome: order.index(outcome.host))
    output.show(done, roles, check=check, as_json=json)
    _conclude(done, check=check)


def _targets(inventory: Path, hosts: str, limit: str, allow_classical: bool) -> list[Target]:
    from support_tunnel.cli.admin.host_login import connect, login_of
    from support_tunnel.cli.admin.inventory import read_inventory
    from support_tunnel.flows.admin.converge import Target

    read = read_inventory(inventory)
    allowed = {host.name for host in read.select(limit)} if limit else None
    known_hosts = Path("~/.ssh/known_hosts").expanduser()

    def targets() -> Iterator[Target]:
        for host in read.select(hosts):
            if allowed is not None and host.name not in allowed:
                continue
            login = login_of(host, known_hosts=known_hosts, allow_classical=allow_classical)
            magic = {"inventory_hostname": host.name, "group_names": list(host.groups)}
            yield Target(host.name, {**host.variables, **magic}, functools.partial(connect, login))

    found = list(targets())
    if not found:
        raise UsageError(
            "inventory.empty", "no host is left to work on", next_step="Look at -H, --limit and the inventory."
        )
    return found


def _conclude(done: list[Outcome], *, check: bool) -> None:
    failed = [outcome.host for outcome in done if outcome.failed]
    if failed:
        raise HostError(
            "converge.hosts",
            f"{len(failed)} of {len(done)} hosts failed: {', '.join(failed)}",
            next_step=f"Mend what is named above and run the same again with --limit {','.join(failed)}.",
        )
    drifted = [outcome.host for outcome in done if outcome.changed]
    if check and drifted:
        sys.stderr.write(f"Drift: {len(drifted)} of {len(done)} hosts would change: {', '.join(drifted)}\n")
        raise SystemExit(DRIFT)
