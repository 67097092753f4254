"""Run the mailbox service, give out its tokens, back it up: on the host it runs on. `deploy` puts it there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.collection import Collection
from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.output import emit, line, table
from support_tunnel.cli.secret_source import read_secret
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.secret import Secret

if TYPE_CHECKING:
    from support_tunnel.api.store import Store

__all__ = ["host_tasks", "namespace"]

_STATE = (
    "folder of the store and the certificate (default $SUPPORT_TUNNEL_API_STATE, ~/.local/state/support_tunnel/api)"
)
_DATABASE = (
    "where the connection string of a PostgreSQL database is, as file:PATH; SQLite in the folder of --state without one "
    "(default $SUPPORT_TUNNEL_API_DATABASE)"
)
_JSON = "one line of JSON a result, for programs"


@verb(
    flags={
        "host": "address to listen on (default 127.0.0.1)",
        "port": "TCP port (default 8443)",
        "domain": "name or address by which clients know it; repeat for more",
        "certificate": "PEM file of a TLS certificate; without one, the API makes its own and prints its fingerprint",
        "key": "PEM file of its key",
        "plain": "http instead of https; loopback only",
        "trusted-proxy": "address whose X-Forwarded-For is believed (a reverse proxy of yours); commas for more",
        "history-days": "days that metadata of ended tunnels is kept (default 7)",
        "state": _STATE,
        "database": _DATABASE,
    }
)
def serve(
    c: Context,
    host: str = "127.0.0.1",
    port: int = 8443,
    domain: str = "",
    certificate: str = "",
    key: str = "",
    plain: bool = False,
    trusted_proxy: str = "",
    history_days: int = 7,
    state: str = "",
    database: str = "",
) -> None:
    """Serve the mailbox in the foreground until Ctrl-C."""
    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.api.serve import serve as run
    from support_tunnel.api.settings import ApiSettings

    if not 0 <= port <= 65535:
        raise UsageError("usage.range", "--port is from 0 to 65535")
    settings = ApiSettings(
        state_dir=_state(state),
        database=_database(database),
        host=host,
        port=port,
        names=tuple(domain.split(",")) if domain else (),
        certificate=Path(certificate) if certificate else None,
        key=Path(key) if key else None,
        plain=plain,
        trusted_proxies=tuple(trusted_proxy.split(",")) if trusted_proxy else (),
        history_days=history_days,
    )
    run(settings, clock=SystemClock(), announce=line)


@verb(
    flags={
        "name": "whose token it is; owners' admins see this name",
        "rights": "answer,list (default), one of them, or metrics for a program that watches the API",
        "state": _STATE,
        "database": _DATABASE,
        "json": _JSON,
    }
)
def create(
    c: Context, name: str = "", rights: str = "answer,list", state: str = "", database: str = "", json: bool = False
) -> None:
    """Make an admin's token. It is shown once."""
    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.api.tokens import create_token

    with _opened(state, database) as store:
        token = create_token(store, name=name, rights=rights.split(","), clock=SystemClock())
    if json:
        emit({"name": name, "token": token.reveal()})
    else:
        line(token.reveal())
        sys.stderr.write("Keep it in a file of mode 0600 and name that in the inventory: token: file:PATH\n")


@verb(flags={"state": _STATE, "database": _DATABASE, "json": _JSON}, name="list")
def list_(c: Context, state: str = "", database: str = "", json: bool = False) -> None:
    """List tokens and their rights; never their values.

    Name, rights, when made, last used, revoked.
    """
    from support_tunnel.api.tokens import list_tokens

    with _opened(state, database) as store:
        tokens = list_tokens(store)
    if json:
        emit(
            [
                {"name": token.name, "rights": sorted(token.rights), "created": token.created, "revoked": token.revoked}
                for token in tokens
            ]
        )
        return
    table(
        ("name", "rights", "created", "revoked"),
        [
            (
                token.name,
                ",".join(sorted(token.rights)),
                f"{token.created:%Y-%m-%d}",
                f"{token.revoked:%Y-%m-%d}" if token.revoked else "",
            )
            for token in tokens
        ],
    )


@verb(positional=("name",), flags={"name": "whose token", "state": _STATE, "database": _DATABASE})
def revoke(c: Context, name: str, state: str = "", database: str = "") -> None:
    """Revoke a token at once."""
    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.api.tokens import revoke_token

    with _opened(state, database) as store:
        revoke_token(store, name=name, clock=SystemClock())
    line(f"revoked: {name}")


@verb(positional=("file",), flags={"file": "a new file, made 0600", "state": _STATE, "database": _DATABASE})
def backup(c: Context, file: str, state: str = "", database: str = "") -> None:
    """Write tokens and history to a file; never messages.

    Also while the API runs.
    """
    from support_tunnel.api.serve import needs_extra
    from support_tunnel.api.settings import ApiSettings
    from support_tunnel.api.sqlite_backup import backup_store

    where = _database(database)
    if where is None:
        backup_store(ApiSettings(state_dir=_state(state)).store_path, Path(file).expanduser())
    else:
        with needs_extra():
            from support_tunnel.api.postgres_backup import backup_database
        backup_database(where, Path(file).expanduser())
    line(f"backup: {file}")


@verb(positional=("file",), flags={"file": "what `backup` wrote", "state": _STATE, "database": _DATABASE})
def restore(c: Context, file: str, state: str = "", database: str = "") -> None:
    """Make a store from a backup where there is none.

    The backup may be of the other kind of store.
    """
    from support_tunnel.api.serve import needs_extra
    from support_tunnel.api.settings import ApiSettings
    from support_tunnel.api.sqlite_backup import restore_store

    where = _database(database)
    if where is None:
        restore_store(Path(file).expanduser(), ApiSettings(state_dir=_state(state)).store_path)
    else:
        with needs_extra():
            from support_tunnel.api.postgres_backup import restore_database
        restore_database(Path(file).expanduser(), where)
    line(f"restored: {file}")


@verb(flags={"state": _STATE, "database": _DATABASE, "json": _JSON})
def history(c: Context, state: str = "", database: str = "", json: bool = False) -> None:
    """List tunnels that ended in the last days: when, and who answered."""
    with _opened(state, database) as store:
        rows = store.history()
    if json:
        emit(
            [
                {"tunnel": row.tunnel, "created": row.created, "ended": row.ended, "answered_by": row.answered_by}
                for row in rows
            ]
        )
        return
    table(
        ("tunnel", "created", "ended", "answered by"),
        [
            (row.tunnel[:8], f"{row.created:%Y-%m-%d %H:%M}", f"{row.ended:%Y-%m-%d %H:%M}", row.answered_by or "-")
            for row in rows
        ],
    )


def _state(given: str) -> Path:
    chosen = given or os.environ.get("SUPPORT_TUNNEL_API_STATE") or "~/.local/state/support_tunnel/api"
    return Path(chosen).expanduser()


def _database(given: str) -> Secret[str] | None:
    """Read the connection string. Raises UsageError `secret.source`, and `database.readable` when others can read it too."""
    source = given or os.environ.get("SUPPORT_TUNNEL_API_DATABASE", "")
    if not source:
        return None
    text = read_secret(source, "--database")
    kind, _, file = source.partition(":")
    if kind == "file" and Path(file).expanduser().stat().st_mode & 0o007:
        raise UsageError(
            "database.readable",
            f"everybody on this machine can use {file}, which opens the database",
            next_step=f"Take it from them: chmod o= {file}.",
        )
    return text


@contextmanager
def _opened(state: str, database: str) -> Iterator[Store]:
    """The store, for a command that an operator types. Raises HostError `store.unavailable`."""
    from support_tunnel.api.serve import open_store
    from support_tunnel.api.settings import ApiSettings
    from support_tunnel.api.store import StoreUnavailable

    with open_store(ApiSettings(state_dir=_state(state), database=_database(database))) as store:
        try:
            yield store
        except StoreUnavailable as error:
            raise HostError(
                "store.unavailable",
                "the store cannot be read or written now",
                next_step="See that its database is up and has room, then try again.",
            ) from error


def host_tasks() -> Collection:
    """The tasks that run where the API runs."""
    collection = Collection(serve, backup, restore, history)
    collection.add_collection(Collection(create, list_, revoke), name="token")
    return collection


def namespace() -> Collection:
    from support_tunnel.cli.api.deploy_task import deploy

    collection = host_tasks()
    collection.add_task(deploy)
    return collection
