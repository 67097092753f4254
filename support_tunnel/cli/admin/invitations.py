"""Lay down what helpers are handed: in the tunnel's vault, where it ends with the tunnel, or in a folder that the admin names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from support_tunnel.core.errors import UsageError
from support_tunnel.core.invitation import Invitation
from support_tunnel.core.ports import Vault
from support_tunnel.core.secret import Secret

if TYPE_CHECKING:
    from support_tunnel.adapters.private_files import PrivateFolder

__all__ = ["lay_down", "require_folder"]


def require_folder(folder: str) -> None:
    """Make it where it is missing: whoever is to be handed something from it learns now that it cannot be. Raises as `lay_down`."""
    _made(folder)


def lay_down(vault: Vault, invitation: Invitation, folder: str) -> list[Path]:
    """Write the files of one helper, 0600, and say where they are; `folder` empty for the vault.

    Raises UsageError `file.*` for a folder that others may write to, `helper.files` for one that cannot be there.
    """
    if not folder:
        for name, content in invitation.files.items():
            vault.put(invitation.tunnel, name, Secret(content.reveal().encode()))
        return [Path(vault.path(invitation.tunnel, name)) for name in invitation.files]
    private = _made(folder)
    for name, content in invitation.files.items():
        private.write(name, content.reveal().encode())
    return [private.path / name for name in invitation.files]


def _made(folder: str) -> PrivateFolder:
    from support_tunnel.adapters.private_files import PrivateFolder

    private = PrivateFolder(Path(folder).expanduser())
    try:
        private.make()
    except OSError as error:
        raise UsageError(
            "helper.files",
            f"--helper-files: {private.path} cannot be made: {error.strerror}",
            next_step="Name a folder of your own.",
        ) from None
    return private
