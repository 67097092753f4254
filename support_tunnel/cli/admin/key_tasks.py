"""The admin's long-lived signing key: made once, recognised by owners ever after (2.8, mode A)."""

from __future__ import annotations

import os

from invoke.collection import Collection
from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.output import emit, line
from support_tunnel.core.errors import UsageError

__all__ = ["namespace"]


@verb(flags={"json": "one line of JSON a result, for programs"})
def create(c: Context, json: bool = False) -> None:
    """Make the key by which owners recognise you, once.

    Their devices remember it and say how often they have met you.
    """
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.signer import public_file
    from support_tunnel.core import ssh_key

    settings = load_admin_settings(os.environ)
    file = settings.path(settings.signer)
    private, public = ssh_key.new_keypair(settings.display_name)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise UsageError(
            "signer.exists", f"you have a key already: {file}", next_step="Owners know you by it; keep it."
        ) from None
    with os.fdopen(descriptor, "w") as out:
        out.write(private.reveal())
    # For whoever certifies it: `ssh-keygen -s` wants a file.
    public_file(file).write_text(f"{public} {settings.display_name}\n")
    if json:
        emit({"file": str(file), "public_key": public, "fingerprint": ssh_key.fingerprint(public)})
    else:
        line(f"{file}\n{public}\n{ssh_key.fingerprint(public)}")


def namespace() -> Collection:
    return Collection(create)
