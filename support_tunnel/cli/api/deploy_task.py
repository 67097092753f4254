"""`fab api.deploy`: the API on a Debian host that the admin has root on."""

from __future__ import annotations

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from support_tunnel.cli import paths
from support_tunnel.cli.admin.tofu_outputs import made_by_tofu
from support_tunnel.cli.boundary import verb
from support_tunnel.cli.output import emit, line
from support_tunnel.cli.secret_source import read_secret
from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret

if TYPE_CHECKING:
    from support_tunnel.adapters.wheel import Wheel
    from support_tunnel.flows.deploy_api import Acme, Given, StoreAt

__all__ = ["deploy"]

_DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}")


@verb(
    positional=("host",),
    flags={
        "host": "name or address of a Debian 13 host, as ssh knows it",
        "domain": "name by which clients will know the API (default for a host that OpenTofu made: its own)",
        "certificate": "PEM file of a TLS certificate with its chain, for that name",
        "key": "PEM file of its key",
        "acme": "instead: mail address for a certificate from a public authority (port 80 of the host must be reachable)",
        "database": "where the connection string of a PostgreSQL database is, as file:PATH (default: SQLite on the host)",
        "database-address": "address or network of a database on another host; commas for more",
        "user": "who logs in; one who is not root needs sudo without a password (default root, or OpenTofu's)",
        "identity": "file of an Ed25519 ssh key without a passphrase (default ~/.ssh/id_ed25519)",
        "host-key": "the host's 'ssh-ed25519 AAAA...' (default: the one in ~/.ssh/known_hosts)",
        "wheels": "folder of wheels on the host, for one that reaches no package index",
        "wheel": "the release to install, as a wheel file (default: what this checkout is)",
        "json": "one line of JSON, for programs",
    },
)
def deploy(
    c: Context,
    host: str,
    domain: str = "",
    certificate: str = "",
    key: str = "",
    acme: str = "",
    database: str = "",
    database_address: str = "",
    user: str = "",
    identity: str = "~/.ssh/id_ed25519",
    host_key: str = "",
    wheels: str = "",
    wheel: str = "",
    json: bool = False,
) -> None:
    """Install or upgrade the API on a host: service, proxy, TLS.

    The same again changes nothing.
    """
    from support_tunnel.adapters.known_host import known_host_key
    from support_tunnel.adapters.ssh_server import connect_server
    from support_tunnel.flows.deploy_api import Release, api_variables, deploy_api

    made = made_by_tofu(os.environ)
    if made and made.api_host and host in (made.api_host.address, made.api_host.domain):
        domain, user = domain or made.api_host.domain, user or made.api_host.login
    user = user or "root"
    if not _DOMAIN.fullmatch(domain):
        raise UsageError("usage.domain", "--domain is a host name in lower case, such as support.example.org")
    proof = _certificate(certificate, key, acme)
    store = _store(database, database_address)
    login = Secret(_read(identity, "--identity"))
    pinned = host_key or known_host_key(host, Path("~/.ssh/known_hosts").expanduser())
    built = _release(wheel)
    release = Release(built.name, built.content, built.requirements("api" if store is None else "postgres"))
    variables = api_variables(
        release,
        domain=domain,
        certificate=proof,
        pip_options=("--no-index", "--find-links", wheels) if wheels else (),
        store=store,
    )
    with connect_server(host, user=user, private_key=login, host_key=pinned, timeout=30) as shell:
        report = deploy_api(shell, paths.library(), variables, host=host)
    changed = [outcome.task for outcome in report.outcomes if outcome.status == "changed"]
    token = f"ssh {user}@{host} {'' if user == 'root' else 'sudo '}support-tunnel-api token.create --name NAME"
    if json:
        emit({"url": f"https://{domain}", "release": release.digest, "changed": changed, "next": token})
        return
    line(f"url: https://{domain}")
    line(f"release: {release.digest} ({len(changed)} of {len(report.outcomes)} steps changed something)")
    line(f"first token: {token}")


def _release(file: str) -> Wheel:
    from support_tunnel.adapters.wheel import build_wheel, read_wheel

    if file:
        return read_wheel(Path(file).expanduser())
    if not paths.CHECKOUT:
        raise UsageError(
            "deploy.wheel",
            "this program was installed, so it cannot build the release to deploy",
            next_step="Name the wheel that it was installed from: --wheel FILE.",
        )
    return build_wheel(paths.REPOSITORY)


def _certificate(certificate: str, key: str, acme: str) -> Given | Acme:
    from support_tunnel.flows.deploy_api import Acme, Given

    if acme and not (certificate or key):
        if not _MAIL.fullmatch(acme):
            raise UsageError("usage.acme", "--acme is a mail address")
        return Acme(acme)
    if certificate and key and not acme:
        return Given(_read(certificate, "--certificate"), Secret(_read(key, "--key")))
    raise UsageError("usage.tls", "give either --certificate and --key, or --acme with a mail address")


def _store(database: str, addresses: str) -> StoreAt | None:
    from support_tunnel.flows.deploy_api import StoreAt

    allowed = addresses.split(",") if addresses else []
    for address in allowed:
        try:
            ip_network(address)
        except ValueError:
            raise UsageError("usage.address", f"--database-address: {address} is no address and no network") from None
    if not database and not allowed:
        return None
    return StoreAt(read_secret(database, "--database"), allowed)


def _read(file: str, flag: str) -> str:
    try:
        return Path(file).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is not a text file"
        raise UsageError("usage.file", f"{flag}: {file}: {reason}") from None
