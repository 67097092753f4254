"""Lay down what helpers are handed: in the tunnel's vault, where it ends with the tunnel, or in a folder that the admin names."""

from __future__ import annotations

from pathlib import Path

from support_tunnel.core.invitation import Invitation
from support_tunnel.core.ports import Vault
from support_tunnel.core.secret import Secret

__all__ = ["lay_down"]


def lay_down(vault: Vault, invitation: Invitation, folder: str) -> list[Path]:
    """Write the files of one helper, 0600, and say where they are; `folder` empty for the vault.

    Raises UsageError `file.*` for a folder that others may write to.
    """
    from support_tunnel.adapters.private_files import PrivateFolder

    if not folder:
        for name, content in invitation.files.items():
            vault.put(invitation.tunnel, name, Secret(content.reveal().encode()))
        return [Path(vault.path(invitation.tunnel, name)) for name in invitation.files]
    private = PrivateFolder(Path(folder).expanduser())
    private.make()
    for name, content in invitation.files.items():
        private.write(name, content.reveal().encode())
    return [private.path / name for name in invitation.files]
