"""Put a release of the API on a host and take it into use. The same again changes nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from support_tunnel.core.ports import Shell
from support_tunnel.core.secret import Secret
from support_tunnel.desired import Report
from support_tunnel.flows.library import Library

__all__ = ["Acme", "Given", "Release", "StoreAt", "api_variables", "deploy_api"]

PATIENCE = 900.0
"""Seconds for packages and their installation on a small host."""


@dataclass(frozen=True, slots=True)
class Release:
    """What is installed: our wheel, and what it needs with hashes."""

    wheel_name: str
    wheel: bytes
    requirements: str

    @property
    def digest(self) -> str:
        """Names the release by what is in it, so that two of them never share a folder."""
        return hashlib.sha256(self.wheel + b"\0" + self.requirements.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Given:
    """The operator's own certificate with its chain, and the key."""

    certificate: str
    key: Secret[str]


@dataclass(frozen=True, slots=True)
class Acme:
    email: str


def deploy_api(shell: Shell, library: Library, variables: Mapping[str, object], *, host: str) -> Report:
    """Apply the role `api`. Raises HostError `converge.failed` naming the task that failed."""
    return library.converge(shell, ["api"], variables, host=host, timeout=PATIENCE)


@dataclass(frozen=True, slots=True)
class StoreAt:
    """A PostgreSQL database: its connection string, and the addresses that the service may reach for it."""

    database: Secret[str]
    addresses: Sequence[str] = ()


def api_variables(
    release: Release,
    *,
    domain: str,
    certificate: Given | Acme,
    pip_options: Sequence[str] = (),
    store: StoreAt | None = None,
) -> dict[str, object]:
    """What the role is told; `pip_options` say where packages come from, if not from the index. Without `store`, SQLite."""
    variables: dict[str, object] = {
        "api_domain": domain,
        "api_release": release.digest,
        "api_wheel_name": release.wheel_name,
        "api_wheel": base64.b64encode(release.wheel).decode(),
        "api_requirements": release.requirements,
        "api_pip_options": list(pip_options),
    }
    if store is not None:
        variables |= {"api_database": store.database, "api_database_addresses": list(store.addresses)}
    match certificate:
        case Given(chain, key):
            variables |= {"api_certificate": chain, "api_key": key}
        case Acme(email):
            variables |= {"api_acme_email": email}
    return variables
