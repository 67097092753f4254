"""Where the files of helpers lie, who may read them, and when they go."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from support_tunnel.cli.admin.invitations import lay_down
from support_tunnel.core.errors import UsageError
from support_tunnel.testing.records import FolderVault
from tests.core.test_invitation import GIVEN


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_by_itself_they_lie_in_the_vault_and_end_with_the_tunnel(tmp_path: Path) -> None:
    vault = FolderVault(tmp_path / "vault")
    laid = lay_down(vault, GIVEN, "")
    assert [path.name for path in laid] == ["st-0badcafe-hana.key", "st-0badcafe.pem"]
    assert [path.read_text() for path in laid] == ["hskey-auth-canary", GIVEN.authority]
    assert {mode(path) for path in laid} == {0o600}
    vault.erase(GIVEN.tunnel)
    assert not any(path.exists() for path in laid)


def test_a_named_folder_is_made_private_and_an_old_file_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "helpers"
    for _ in range(2):
        laid = lay_down(FolderVault(tmp_path / "vault"), GIVEN, str(folder))
    assert {path.parent for path in laid} == {folder}
    assert {mode(path) for path in laid} == {0o600}
    assert mode(folder) == 0o700
    assert not (tmp_path / "vault").exists()


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(UsageError) as caught:
        lay_down(FolderVault(tmp_path / "vault"), GIVEN, str(tmp_path))
    assert caught.value.code == "file.mode"
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_place_of_a_file_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("untouched")
    folder = tmp_path / "helpers"
    folder.mkdir(mode=0o700)
    (folder / GIVEN.key_file).symlink_to(tmp_path / "other")
    (key, _) = lay_down(FolderVault(tmp_path / "vault"), GIVEN, str(folder))
    assert (tmp_path / "other").read_text() == "untouched"
    assert key.read_text() == "hskey-auth-canary"
