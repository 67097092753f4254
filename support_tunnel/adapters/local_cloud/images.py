"""What a node can be made from: this machine's own root, or Debian 13 as a cloud would give it.

`debian-13` is built once with mmdebstrap, from the mirror this machine itself uses, and never changed afterwards: its
folder's name holds a digest of everything that decides its contents.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from support_tunnel.adapters import processes
from support_tunnel.adapters.local_cloud.records import locked
from support_tunnel.core.errors import CloudError, HostError

__all__ = ["CACHE", "IMAGES", "KEYRING", "Image", "debian_13", "lower_of"]

CACHE = Path("/var/cache/support_tunnel/images")

_SUITE = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_PACKAGES = (
    "cloud-init", "dbus", "iproute2", "libpam-systemd", "nftables", "openssh-server", "python3", "sudo", "systemd", "systemd-sysv",
    "tmux", "wireguard-go", "wireguard-tools",
)  # fmt: skip
_LEAVE_OUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
# Without the machine-id each node gets its own; without host keys no two nodes can ever share one.
_CUSTOMIZE = 'rm -rf "$1"/var/lib/apt/lists/* "$1"/etc/ssh/ssh_host_* && : >"$1/etc/machine-id"'


@dataclass(frozen=True, slots=True)
class Image:
    id: str
    name: str
    cloud_init: bool
    """Whether user-data does anything."""
    root: Path | None = None
    """Its file tree, where somebody baked it."""


IMAGES = {
    image.id: image
    for image in (
        Image("debian-13", "Debian 13, as a cloud gives it", cloud_init=True),
        Image("host", "this machine's own packages, for nodes that play the device", cloud_init=False),
    )
}


def lower_of(image: Image) -> Path:
    """Folder that is the node's lower layer; builds it when this machine has none yet (half a minute or more)."""
    return image.root or (Path("/") if image.id == "host" else debian_13())


def debian_13(cache: Path = CACHE) -> Path:
    """Return the root of the Debian 13 image. Raises CloudError `cloud.image` when it cannot be built."""
    ready = cache / f"debian-13-{_digest()}"
    if ready.is_dir():
        return ready
    cache.mkdir(mode=0o755, parents=True, exist_ok=True)
    with locked(cache):  # a second builder waits, and then finds the first one's work
        if not ready.is_dir():
            _sweep(cache)
            _build(cache / "building", ready)
    return ready


def _digest() -> str:
    recipe = json.dumps([_SUITE, _PACKAGES, _LEAVE_OUT, _CUSTOMIZE])
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def _sweep(cache: Path) -> None:
    """Remove what a killed builder left. Images of other recipes stay: nodes may still stand on them."""
    shutil.rmtree(cache / "building", ignore_errors=True)


def _build(building: Path, ready: Path) -> None:
    # The folder itself is 0755: sshd refuses a root directory that others may write, and users of a node must enter it.
    building.mkdir(mode=0o755)
    building.chmod(0o755)
    source = f"deb [signed-by={KEYRING}] {_mirror()} {_SUITE} main"
    try:
        processes.run(
            [
                "mmdebstrap", "--variant=minbase", "--quiet", f"--include={','.join(_PACKAGES)}",
                '--aptopt=Acquire::Languages "none"', *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEAVE_OUT),
                f"--customize-hook={_CUSTOMIZE}", _SUITE, building, source,
            ],
            timeout=900,
        )  # fmt: skip
    except HostError as error:
        shutil.rmtree(building, ignore_errors=True)
        raise CloudError(
            "cloud.image",
            f"the Debian 13 image cannot be built: {error.message}",
            next_step="Check that this machine's own Debian mirror answers: apt-get update",
        ) from error
    os.sync()
    building.rename(ready)


def _mirror() -> str:
    """Address of the mirror this machine installs Debian from."""
    targets = processes.run(["apt-get", "indextargets", "--format", "$(REPO_URI)|$(ORIGIN)|$(LABEL)"]).stdout
    for line in targets.splitlines():
        address, _, kind = line.partition("|")
        if kind == "Debian|Debian" and urlsplit(address).scheme in ("http", "https", "file"):
            return address.rstrip("/")
    raise CloudError(
        "cloud.image",
        "this machine's apt sources name no Debian mirror",
        next_step="Add one to /etc/apt/sources.list.d, then run: apt-get update",
    )
