"""The same cases over the vault in memory and the tests' one in a folder; then where a vault may lie."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import support_tunnel
from support_tunnel.adapters import processes
from support_tunnel.adapters.memory_folder import user_folder
from support_tunnel.adapters.vault_tmpfs import TmpfsVault
from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Vault
from support_tunnel.core.secret import Secret
from support_tunnel.testing.records import FolderVault

TUNNEL, OTHER = TunnelId("ab" * 16), TunnelId("01" * 16)


@pytest.fixture
def memory() -> Iterator[Path]:
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture(params=["memory", "folder"])
def vault(request: pytest.FixtureRequest, memory: Path, tmp_path: Path) -> Vault:
    return TmpfsVault(memory / "vault") if request.param == "memory" else FolderVault(tmp_path / "vault")


def test_an_empty_vault_has_nothing(vault: Vault) -> None:
    assert list(vault.tunnels()) == []
    assert vault.get(TUNNEL, "prk2") is None
    vault.erase(TUNNEL)


def test_a_secret_is_kept_until_it_is_erased(vault: Vault) -> None:
    value = Secret(secrets.token_bytes(32))
    vault.put(TUNNEL, "prk2", value)
    vault.put(OTHER, "prk2", Secret(b"other"))
    assert vault.get(TUNNEL, "prk2") == value
    assert sorted(vault.tunnels()) == sorted([TUNNEL, OTHER])
    path = Path(vault.path(TUNNEL, "prk2"))
    assert path.read_bytes() == value.reveal()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    vault.erase(TUNNEL)
    vault.erase(TUNNEL)
    assert vault.get(TUNNEL, "prk2") is None
    assert list(vault.tunnels()) == [OTHER]


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc/passwd", ".hidden", "A", "a\n", "a" * 65])
def test_a_name_that_could_leave_the_folder_is_refused(vault: Vault, name: str) -> None:
    for use in (lambda: vault.get(TUNNEL, name), lambda: vault.path(TUNNEL, name)):
        with pytest.raises(ValueError, match="not a name"):
            use()
    with pytest.raises(ValueError, match="not a name"):
        vault.put(TUNNEL, name, Secret(b""))


def test_a_tunnel_is_held_by_one_at_a_time(vault: Vault) -> None:
    with vault.hold(TUNNEL):
        with pytest.raises(WrongState) as caught, vault.hold(TUNNEL):
            pytest.fail("two holders")
        assert caught.value.code == "tunnel.busy"
        with vault.hold(OTHER):
            vault.put(TUNNEL, "prk2", Secret(b""))
            vault.erase(TUNNEL)
    with vault.hold(TUNNEL):
        pass
    assert list(vault.tunnels()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from support_tunnel.testing.records import FolderVault
with FolderVault(Path(sys.argv[1])).hold(sys.argv[2]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    argv: list[str | Path] = [sys.executable, "-c", KILLED, tmp_path / "vault", TUNNEL]
    ended = processes.run(argv, env={"PYTHONPATH": str(Path(support_tunnel.__path__[0]).parent)}, accept=None)
    assert ended.status == -9, ended.stderr
    with FolderVault(tmp_path / "vault").hold(TUNNEL):
        pass


def test_a_disk_is_refused_before_anything_is_written() -> None:
    on_disk = "/var/tmp"  # noqa: S108 - it outlives a reboot (hier(7)), so it is never in memory; tmp_path may be
    with TemporaryDirectory(dir=on_disk) as folder:
        with pytest.raises(UsageError) as caught:
            TmpfsVault(Path(folder) / "vault").put(TUNNEL, "prk2", Secret(b"secret"))
        assert caught.value.code == "vault.disk"
        assert not any(path.is_file() for path in Path(folder).rglob("*"))


def test_a_folder_others_may_read_is_refused(memory: Path) -> None:
    vault = TmpfsVault(memory / "vault")
    vault.put(TUNNEL, "prk2", Secret(b"secret"))
    (memory / "vault").chmod(0o755)
    with pytest.raises(UsageError) as caught:
        vault.tunnels()
    assert caught.value.code == "file.mode"


def test_the_folder_is_the_users_runtime_folder_when_that_is_in_memory(memory: Path) -> None:
    assert user_folder({"XDG_RUNTIME_DIR": str(memory)}) == memory / "support_tunnel"


def test_without_one_it_still_lies_in_memory() -> None:
    folder = user_folder({"XDG_RUNTIME_DIR": "/nowhere"})
    in_shm = Path("/dev/shm") / f"support_tunnel_{os.geteuid()}"  # noqa: S108 - expected, not written
    assert folder in {Path("/run/support_tunnel_admin"), in_shm}


def test_the_folder_is_there_only_while_something_is_in_it(memory: Path) -> None:
    ours = memory / "support_tunnel"
    vault = TmpfsVault(ours / "vault", above=[ours])
    with vault.hold(TUNNEL):
        vault.put(TUNNEL, "prk2", Secret(b"secret"))
        vault.put(OTHER, "prk2", Secret(b"secret"))
        vault.erase(TUNNEL)
    assert vault.tunnels() == [OTHER]
    (ours / "of others").touch()
    vault.erase(OTHER)
    assert [path.name for path in ours.iterdir()] == ["of others"]
    (ours / "of others").unlink()
    with pytest.raises(KeyboardInterrupt), vault.hold(TUNNEL):
        raise KeyboardInterrupt
    assert list(memory.iterdir()) == []


def test_many_that_come_and_go_at_once_find_their_folder(memory: Path) -> None:
    """Each takes the empty folder with it, also from under another one's feet."""

    counting: list[int] = []

    def come_and_go(number: int) -> None:
        tunnel = TunnelId(f"{number:032x}")
        for _ in range(200):
            vault = TmpfsVault(memory / "vault")
            with vault.turn():
                counting.append(number)
                assert counting == [number]
                counting.remove(number)
            with vault.hold(tunnel):
                pass

    with ThreadPoolExecutor(4) as lanes:
        list(lanes.map(come_and_go, range(4)))
    assert list(memory.iterdir()) == []


def test_what_has_no_tunnels_name_keeps_nobody_from_seeing_the_tunnels(memory: Path) -> None:
    vault = TmpfsVault(memory / "vault")
    vault.put(TUNNEL, "prk2", Secret(b"secret"))
    (memory / "vault" / "lost+found").mkdir()
    assert vault.tunnels() == [TUNNEL]
