"""A cloud with state whose API is JSON over paths: what such clouds have in common when a test plays one."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import libcloud

from tests.clouds.contract import Contract
from tests.clouds.gate import Answer, Request

__all__ = ["Rest", "answer", "recorded"]

RECORDED = Path(libcloud.__file__).parent / "test" / "compute" / "fixtures"


def recorded(path: str) -> Any:
    """An answer of the real provider, as libcloud's authors recorded it."""
    return json.loads((RECORDED / path).read_text())


def answer(status: int, value: object = None) -> Answer:
    return Answer(status, b"" if value is None else json.dumps(value).encode())


class Rest:
    """`routes` are tried in order; a handler gets the request and what its pattern caught."""

    name = ""
    creating = ""
    """`METHOD /pattern` of the call that makes a server, and so on."""
    listing = ""
    destroying = ""
    page_size = 2
    """Small, so that what reads only the first page is found out."""
    refusals: ClassVar[Mapping[str, tuple[int, object]]] = {}

    def __init__(self) -> None:
        self.numbers = itertools.count(4_711)
        self.servers: dict[str, dict[str, Any]] = {}
        self.firewalls: dict[str, dict[str, Any]] = {}
        self.images: dict[str, dict[str, Any]] = {}
        self.images_become = ""
        """The state in which an image stays, where it is to stay unfinished; `failed` for none that ever will be."""
        self.written = ""
        """On each server's console, where such a cloud keeps that."""
        self.contract: Contract | None = None
        self.lacks: set[str] = set()
        """Rights, in the provider's words, that our credentials do not have."""
        self.full = False
        """Whether the account has no room for another server, where the provider says so beforehand."""
        self.routes: list[tuple[str, Callable[..., Answer]]] = []

    def holds(self, name: str) -> bool:
        return False

    def handle(self, request: Request) -> Answer:
        understood = self.contract is None or self.contract.asked(request)
        if not understood:
            return self.refusal("bad-request")
        for pattern, handler in self.routes:
            if caught := self._caught(pattern, request):
                told = handler(request, *caught.groups())
                if self.contract is not None:
                    self.contract.answered(request, told)
                return told
        return answer(404, self.not_found())

    def not_found(self) -> object:
        return {"error": {"code": "not_found", "message": "no such call"}}

    @staticmethod
    def _caught(pattern: str, request: Request) -> re.Match[str] | None:
        method, _, path = pattern.partition(" ")
        return re.fullmatch(path, request.path) if method == request.method else None

    def creates(self, request: Request) -> bool:
        return self._caught(self.creating, request) is not None

    def lists(self, request: Request) -> bool:
        return self._caught(self.listing, request) is not None

    def destroys(self, request: Request) -> bool:
        return self._caught(self.destroying, request) is not None

    def everything(self) -> list[str]:
        return list(self.servers)

    def pictures(self) -> list[str]:
        """Ids of all images that are there, the cloud's own left out."""
        return list(self.images)

    def walls(self) -> list[str]:
        return list(self.firewalls)

    def rules(self) -> set[tuple[str, int, str]]:
        return {rule for wall in self.firewalls.values() for rule in self.let_in(wall)}

    def let_in(self, wall: dict[str, Any]) -> Iterator[tuple[str, int, str]]:
        """The rules of one firewall."""
        raise NotImplementedError

    def refusal(self, kind: str) -> Answer:
        status, value = self.refusals[kind]
        return answer(status, value)
