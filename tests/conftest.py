"""What every test may rely on: one-box tests run as root on a machine that has /dev/net/tun, or say why they do not.

There is no skip for a missing program: ./test installs them, so one that is missing is a failure with its name in it.
"""

from __future__ import annotations

import compileall
import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")
"""How long an example took says how busy the machine was, and nothing about what is tested."""

SLOWEST = ("test_killed.py", "test_debian_package.py", "test_converge.py", "test_device_verbs.py")
"""Begun first, so that no worker is alone with one of them at the end."""
LONG = ("test_faults.py", "test_oracle.py", "test_upgrade.py", "test_setup.py", "test_venvs.py")
"""Begun next, before the short ones, which even out the end: the first computes for two minutes and a half."""
PLAYED = ("test_session.py", "test_wire.py", "test_secrets.py")
"""They look at the same two sessions, which are played once (tests/onebox/conftest.py), so they go to one worker."""


def missing_for_onebox() -> str:
    """Name what set-up cannot give a one-box test, or nothing."""
    if os.geteuid() != 0:
        return "needs root: run ./test, which uses sudo"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun, which this kernel or container does not give"
    return ""


def turn(item: pytest.Item) -> int:
    """Hosts first: who waits for them leaves the other core to what computes."""
    if item.path.name in SLOWEST:
        return SLOWEST.index(item.path.name)
    if item.get_closest_marker("onebox"):
        return len(SLOWEST)
    return len(SLOWEST) + (1 if item.path.name in LONG else 2)


def pytest_configure(config: pytest.Config) -> None:
    """Compile the package once: the many programs that tests start write no bytecode, and each would compile it anew."""
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(config.rootpath / "support_tunnel", quiet=2)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if reason := missing_for_onebox():
        for item in items:
            if item.get_closest_marker("onebox"):
                item.add_marker(pytest.mark.skip(reason=reason))
    if hasattr(config, "workerinput"):
        items.sort(key=turn)


@pytest.fixture(autouse=True, scope="session")
def _open_memory() -> Iterator[None]:
    """A verb closes the memory of its process for good (adapters/own_memory.py). Tests that call one in theirs would take from all
    that follow, and from the programs that those start, what they look at; programs of their own close theirs as ever.
    """
    with pytest.MonkeyPatch.context() as patch:
        for caller in ("support_tunnel.cli.boundary", "support_tunnel.device.entry"):
            patch.setattr(f"{caller}.close_own_memory", lambda: None)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Four thousand tests and their modules stay to the end: no search for cycles, now or in a test, need look through them.

    Searching while they come was a quarter of the time that they take.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a third of the time a file waits for hosts, and leaves its core to nobody."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file stays on one worker, with the hosts that its tests share."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # untyped
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "played" if file.endswith(PLAYED) else file

    return ByFile(config, log)
