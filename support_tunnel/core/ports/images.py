"""Images of tunnel servers that we make ourselves, so that a start needs no package mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Image", "Images"]


@dataclass(frozen=True, slots=True)
class Image:
    """One of ours as its cloud lists it."""

    id: str
    name: str
    word: str
    """What `image` of that cloud says in the inventory."""
    ready: bool
    tags: Mapping[str, str] = field(default_factory=dict)
    failed: bool = False
    """Never to be ready; only good for removing."""


class Images(Protocol):
    """Of one cloud. Raises CloudError `cloud.cannot-bake` where we do not know how, and `cloud.*`; an error never means "gone"."""

    @property
    def of_what_is_off(self) -> bool:
        """Whether a server has to have turned itself off before."""
        ...

    def bake(self, server_id: str, name: str, tags: Mapping[str, str]) -> Image:
        """Make one of a server, and wait until it can be used. What a failed one leaves has this name."""
        ...

    def baked(self) -> Sequence[Image]:
        """Every image of ours, whoever made it; unfinished ones too."""
        ...

    def remove(self, image_id: str) -> None:
        """Remove it and prove it gone; already gone is success. Raises CloudError `cloud.foreign` for what is not ours."""
        ...
