"""What `fab doctor` looks at, one check after the other; what each finding means is judged in core. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from support_tunnel.core.admin_health import (
    SecretFile,
    judge_clouds,
    judge_own_node,
    judge_private_file,
    judge_root,
    judge_ssh,
    judge_vault,
)
from support_tunnel.core.device_health import Check, blamed, failure, judge_clock, judge_mlkem
from support_tunnel.core.errors import SupportTunnelError

if TYPE_CHECKING:
    from support_tunnel.cli.admin.settings import AdminSettings
    from support_tunnel.flows.admin.ports import AdminPorts

__all__ = ["examine"]


def examine() -> Iterator[Check]:
    """Every check runs, whatever the one before it found; without settings there is nothing more to look at."""
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports
    from support_tunnel.core.st1.kem import mlkem_available

    yield judge_ssh(_kex())
    yield judge_mlkem(mlkem_available())
    try:
        settings = load_admin_settings(os.environ)
        ports = admin_ports(settings)
    except SupportTunnelError as error:
        yield failure("config", error)
        return
    yield Check("config", "ok", "the settings are whole")
    yield from _keys(settings, ports)
    yield _memory(_vault(settings))
    yield from _api(settings, ports)
    yield _headscale(settings)
    yield _own_node(settings, ports)
    if settings.headscale_server:
        yield _standing(ports)
    yield judge_root(settings.clouds, uid=os.geteuid())
    yield from judge_clouds({name: _trouble(ports, name) for name in settings.clouds})


def _kex() -> list[str] | None:
    from support_tunnel.adapters import processes

    try:
        return processes.run(["ssh", "-Q", "kex"]).stdout.split()
    except SupportTunnelError:
        return None


def _keys(settings: AdminSettings, ports: AdminPorts) -> Iterator[Check]:
    if settings.token.startswith("file:"):
        file = _secret_file(settings.path(settings.token.removeprefix("file:")))
        yield judge_private_file("token", file, absent="Ask the API's operator for a token (`fab api.token.create`).")
    signer = judge_private_file("signer", _secret_file(settings.path(settings.signer)), absent="Run fab key.create")
    if signer.state == "ok":
        try:
            ports.signer()
        except SupportTunnelError as error:
            signer = failure("signer", error)
    yield signer


def _secret_file(path: Path) -> SecretFile:
    try:
        found = path.stat()
    except OSError:
        return SecretFile(str(path), None)
    return SecretFile(str(path), found.st_mode & 0o7777, found.st_uid == os.geteuid())


def _vault(settings: AdminSettings) -> Path:
    from support_tunnel.adapters.memory_folder import user_folder

    return settings.path(settings.runtime) if settings.runtime else user_folder(os.environ)


def _memory(folder: Path) -> Check:
    from support_tunnel.adapters.memory_folder import how_to_have_one, in_memory

    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return judge_vault(str(folder), in_memory=in_memory(there), fix=how_to_have_one())


def _own_node(settings: AdminSettings, ports: AdminPorts) -> Check:
    lacks: SupportTunnelError | None = None
    left: list[str] = []
    if ports.own_node is not None:
        try:
            left = [tunnel[:8] for tunnel in ports.own_node.tunnels() if ports.own_node.address(tunnel) is None]
            ports.own_node.require()
        except SupportTunnelError as error:
            lacks = error
    return judge_own_node(lacks, wanted=bool(settings.headscale_server), left=left)


def _api(settings: AdminSettings, ports: AdminPorts) -> Iterator[Check]:
    """Reachable and the one that was named, its clock, and whether it takes this token."""
    from support_tunnel.adapters.api_look import HttpApiLook
    from support_tunnel.cli.admin.proxy import http_proxy

    try:
        if settings.api:
            look = HttpApiLook(
                settings.api,
                clock=ports.clock,
                fingerprint=settings.api_fingerprint or None,
                proxy=http_proxy(settings),
            )
            seen = look.see()
            yield Check("api", "ok", "it answers, and is the one that was named")
            if seen.theirs:
                yield judge_clock(seen.theirs - seen.ours)
    except SupportTunnelError as error:
        yield failure(blamed(error), error)
        return
    try:
        ports.mailbox_for(None).tunnels()
    except SupportTunnelError as error:
        yield failure("access", error)
        return
    yield Check("access", "ok", "the API takes this token, and it may list")


def _headscale(settings: AdminSettings) -> Check:
    """The programs of tunnel servers are on those servers; only the local cloud's see what this machine has."""
    from support_tunnel.cli.admin.server_programs import digest, on_servers
    from support_tunnel.core.headscale_health import judge_digest, judge_programs

    try:
        programs = on_servers(settings)
    except SupportTunnelError as error:
        return failure("headscale", error)
    whole = judge_programs(programs.sha256 if programs else "")
    if programs is None or whole.state != "ok" or settings.cloud != "local":
        return whole
    return judge_digest(programs.headscale, told=programs.sha256, found=digest(Path(programs.headscale)))


def _standing(ports: AdminPorts) -> Check:
    """The server of many tunnels, as a tunnel would find it: by its one authority, with our key."""
    from support_tunnel.core.headscale_health import judge_standing
    from support_tunnel.flows.admin.standing_server import named_by

    try:
        server = named_by(ports)
        version, theirs = server.version(), server.now()
        server.users()
    except SupportTunnelError as error:
        return failure("standing", error)
    return judge_standing(version, theirs - ports.clock.now())


def _trouble(ports: AdminPorts, name: str) -> str:
    try:
        ports.clouds[name].servers()
    except SupportTunnelError as error:
        return error.message
    return ""
