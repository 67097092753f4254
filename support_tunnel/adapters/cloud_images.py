"""Images of our own on any cloud whose row knows how: made of one server, listed and removed by their tags.

As with servers, two things are never taken on trust: that a call without an answer made nothing, and that an image is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from support_tunnel.adapters.cloud_line import PASSES, PAUSES, CloudLine
from support_tunnel.adapters.clouds.row import Baking, CloudRow
from support_tunnel.core.errors import CloudError, HostError
from support_tunnel.core.ports import Clock, Image
from support_tunnel.core.waiting import wait_for

__all__ = ["OURS", "LibcloudImages"]

OURS: Final = "st-image"
"""The tag that makes an image ours; its value is the image's name."""
_PATIENCE_TO_TURN_OFF = 300.0
_PATIENCE_TO_BAKE = 3_600.0
"""Clouds copy a whole disk: some take a minute, some most of an hour."""
_PATIENCE_TO_REMOVE = 600.0
_UNSURE = ("cloud.unknown", "cloud.taken")


class LibcloudImages:
    """The port `Images` over the line to one cloud."""

    def __init__(self, row: CloudRow, line: CloudLine, clock: Clock) -> None:
        self._row = row
        self._line = line
        self._clock = clock

    @property
    def of_what_is_off(self) -> bool:
        return self._baking().of_what_is_off

    def bake(self, server_id: str, name: str, tags: Mapping[str, str]) -> Image:
        """One whose answer was lost is looked for, and taken if it is there, before there is another try."""
        baking, node = self._baking(), self._server(server_id)
        for pause in (*PAUSES, None):
            try:
                self._line.ask_once(lambda driver, told: baking.make(driver, node, name, tags, told))
                break
            except CloudError as failure:
                if failure.code not in (*PASSES, *_UNSURE):
                    raise
                if self._named(name) is not None:
                    break
                if pause is None or failure.code in _UNSURE:
                    raise
                self._line.pause(pause)

        def ready() -> Image | None:
            found = self._named(name)
            if found is not None and found.failed:
                raise CloudError(
                    "cloud.unbaked",
                    f"the cloud {self._row.name} could not make the image {name}",
                    next_step="Look at the cloud's own console, then run `fab bake-image` again.",
                )
            return found if found is not None and found.ready else None

        try:
            return wait_for(ready, what=f"image {name}", seconds=_PATIENCE_TO_BAKE, clock=self._clock, longest_pause=15)
        except HostError as error:
            raise CloudError(
                "cloud.unbaked",
                f"the cloud {self._row.name} did not finish the image {name} in an hour",
                next_step="Look at the cloud's own console, then run `fab bake-image` again.",
            ) from error

    def baked(self) -> Sequence[Image]:
        return [image for image in self._line.ask(self._baking().listed) if OURS in image.tags]

    def remove(self, image_id: str) -> None:
        baking = self._baking()
        found = next((one for one in self._line.ask(baking.listed) if one.id == image_id), None)
        if found is None:
            return
        if OURS not in found.tags:
            raise CloudError("cloud.foreign", f"image {image_id} does not carry our tag, so it is not ours to remove")

        def gone() -> bool | None:
            """Some clouds hold on to one that is still being made. What is left of one at Amazon, a snapshot of its name, goes as well."""
            for number in going:
                self._begin_removal(baking, number)
            going[:] = [
                one.id
                for one in self._line.ask(baking.listed)
                if one.id == image_id or (one.name == found.name and OURS in one.tags and not one.ready)
            ]
            return None if going else True

        going = [image_id]
        try:
            wait_for(gone, what="end of the image", seconds=_PATIENCE_TO_REMOVE, clock=self._clock, longest_pause=15)
        except HostError as error:
            raise CloudError(
                "cloud.still-there",
                f"the cloud {self._row.name} still lists the image {image_id}",
                next_step=f"Remove image {found.name} in the cloud's own console.",
            ) from error

    def _begin_removal(self, baking: Baking, image_id: str) -> None:
        try:
            self._line.ask(lambda driver, told: baking.remove(driver, image_id, told))
        except CloudError as failure:
            if failure.code not in ("cloud.gone", "cloud.in-use", *PASSES):
                raise

    def _baking(self) -> Baking:
        if self._row.baking is None:
            raise CloudError(
                "cloud.cannot-bake",
                f"this program makes no images on the cloud {self._row.name}",
                next_step=f"Make one by hand, and name it in the inventory: support_tunnel/clouds/{self._row.name}/image.",
            )
        return self._row.baking

    def _named(self, name: str) -> Image | None:
        """By our tag too: whatever else has that name is none of it."""
        return next((image for image in self.baked() if image.name == name), None)

    def _server(self, server_id: str) -> object:
        """The server, off where it has to be."""

        def look() -> object | None:
            nodes = self._line.ask(lambda driver, _: self._row.listed(driver))
            node = next((one for one in nodes if str(one.id) == server_id), None)
            if node is None:
                raise CloudError("cloud.gone", f"the cloud {self._row.name} lists no server {server_id}")
            return node if not self.of_what_is_off or str(node.state) == "stopped" else None

        try:
            return wait_for(
                look, what="the server to be off", seconds=_PATIENCE_TO_TURN_OFF, clock=self._clock, longest_pause=5
            )
        except HostError as error:
            raise CloudError(
                "cloud.unbaked",
                f"server {server_id} did not turn itself off, so no image was made of it",
                next_step="Run the same command again.",
            ) from error
