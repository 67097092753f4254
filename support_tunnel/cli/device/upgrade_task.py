"""`support-tunnel upgrade`: a newer release from a file, in the way this one was installed. Sessions go on."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from invoke.context import Context

from support_tunnel import __version__
from support_tunnel.cli import paths
from support_tunnel.cli.boundary import verb
from support_tunnel.cli.output import emit, line
from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.release_version import is_older

__all__ = ["Place", "place_of", "upgrade"]

_DEB = "Debian package"


@dataclass(frozen=True, slots=True)
class Place:
    """How this program came here. `root` is set where it lies in a release folder that `upgrade` looks after."""

    kind: str
    command: str
    """What upgrades it, as a person types it."""
    root: Path | None = None


def place_of(library: Path, prefix: Path, *, checkout: bool) -> Place:
    """`library` is the folder that holds the package, `prefix` the interpreter's."""
    from support_tunnel.adapters.deb_release import LIBRARY
    from support_tunnel.adapters.release_folders import release_root

    ours = "support-tunnel upgrade --file FILE{} --sha256 HEX"
    if checkout:
        return Place("checkout", f"git -C {library} pull && {library}/tools/setup python")
    if library == LIBRARY:
        return Place(_DEB, ours.format(".deb"))
    if (prefix / "pipx_metadata.json").exists():
        return Place("pipx environment", "pipx install --force './FILE.whl[device]'")
    root = release_root(prefix)
    if root is not None:
        return Place("release folder", ours.format(".whl"), root)
    return Place("virtual environment", f"{prefix}/bin/pip install --upgrade './FILE.whl[device]'")


@verb(
    flags={
        "file": "the new release, as the vendor gave it; without one, say how this is upgraded",
        "sha256": "its SHA-256, as the vendor says it",
        "wheels": "folder with the libraries' wheels, where no package index can be reached (release folders only)",
        "json": "one line of JSON, for programs",
    },
)
def upgrade(c: Context, file: str = "", sha256: str = "", wheels: str = "", json: bool = False) -> None:
    """Install a newer release from a file.

    It is checked by its SHA-256. A live session goes on.
    """
    place = place_of(paths.REPOSITORY, Path(sys.prefix), checkout=paths.CHECKOUT)
    if not file:
        if json:
            emit({"version": __version__, "installed": place.kind, "command": place.command})
        else:
            line(f"version: {__version__}, from a {place.kind}")
            line(f"upgrade: {place.command}")
        return
    after = _install(place, Path(file).expanduser(), sha256, wheels)
    if json:
        emit({"before": __version__, "version": after})
    else:
        line(f"upgraded: {__version__} to {after}")


def _install(place: Place, file: Path, sha256: str, wheels: str) -> str:
    """Return the version that is in use afterwards."""
    from support_tunnel.adapters.deb_release import upgrade_deb
    from support_tunnel.adapters.release_folders import install_release
    from support_tunnel.adapters.vouched_file import read_vouched
    from support_tunnel.adapters.wheel import Wheel, check_name
    from support_tunnel.cli.device.wiring import need_root

    if place.kind != _DEB and place.root is None:
        raise WrongState("upgrade.elsewhere", f"this program runs from a {place.kind}", next_step=place.command)
    need_root()
    content = read_vouched(file, sha256)
    if place.root is None:
        return upgrade_deb(content)[1]
    wheel = Wheel(check_name(file.name), content)
    if is_older(wheel.version, __version__):
        raise UsageError(
            "upgrade.older",
            f"version {__version__} is in use, and {wheel.version} is older",
            next_step=f"To go back to one that is still there: ln -sfn releases/NAME {place.root}/current",
        )
    folder = install_release(place.root, wheel, wheels=wheels)
    _follow(place.root, folder)
    return wheel.version


def _follow(root: Path, folder: Path) -> None:
    """Let the clean-up at boot run from the new release, if it runs from here; the old folder may be removed some day."""
    from support_tunnel.adapters import processes
    from support_tunnel.desired.device_units import BOOT_UNITS

    units = [paths.SYSTEM_UNITS / unit for unit in BOOT_UNITS]
    if any(unit.exists() and str(root) in unit.read_text() for unit in units):
        processes.run([folder / "bin/support-tunnel", "install", "--json"], timeout=120, env=_settings())


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("SUPPORT_TUNNEL_")}
