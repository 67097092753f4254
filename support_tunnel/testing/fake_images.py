"""Images of a cloud of files: one a file, in the folder of `FakeCloud`'s servers. Survives the process that made it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from support_tunnel.core.errors import CloudError
from support_tunnel.core.ports import Cloud, Image

__all__ = ["FakeImages"]


class FakeImages:
    """The port `Images`. `unfinished`: an image stays in the making, and its cloud says so after a while."""

    of_what_is_off = True

    def __init__(self, folder: Path, cloud: Cloud) -> None:
        self._folder = folder
        self._cloud = cloud
        self.unfinished = False

    def bake(self, server_id: str, name: str, tags: Mapping[str, str]) -> Image:
        if not any(server.id == server_id for server in self._cloud.servers()):
            raise CloudError("cloud.gone", f"there is no server {server_id}")
        made = Image(f"image-{name}", name, name, not self.unfinished, dict(tags))
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{made.id}.json").write_text(json.dumps(asdict(made)))
        if self.unfinished:
            raise CloudError("cloud.unbaked", f"the image {name} is not finished")
        return made

    def baked(self) -> Sequence[Image]:
        return [Image(**json.loads(path.read_text())) for path in sorted(self._folder.glob("image-*.json"))]

    def remove(self, image_id: str) -> None:
        (self._folder / f"{image_id}.json").unlink(missing_ok=True)
