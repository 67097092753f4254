"""Requests and answers held to a provider's own description of them (tests/clouds/contracts says where each is from)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from tests.clouds.gate import Answer, Request

__all__ = ["Contract"]

FOLDER = Path(__file__).with_name("contracts")


class Contract:
    """What does not fit is a complaint; a test that has one fails at its end."""

    def __init__(self, name: str) -> None:
        told = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
        self.complaints: list[str] = []
        self._definitions = told.get("definitions", {})
        self._calls = {
            (method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "$")): call
            for key, call in told["calls"].items()
            for method, path in [key.split(" ")]
        }
        self._made: dict[int, Any] = {}

    def call(self, request: Request) -> dict[str, Any] | None:
        for (method, path), call in self._calls.items():
            if method == request.method and path.match(request.path):
                found: dict[str, Any] = call
                return found
        return None

    def asked(self, request: Request) -> bool:
        """Whether the provider would understand this."""
        call, before = self.call(request), len(self.complaints)
        if call is None:
            self._complain(request, "no such call")
            return False
        for name in set(request.query) - set(call.get("query", [])):
            self._complain(request, f"no such parameter: {name}")
        if "body" in call:
            self._hold(request, "body", request.body, call["body"])
        elif request.body and request.method in ("GET", "DELETE"):
            self._complain(request, "a body where there is none")
        return len(self.complaints) == before

    def answered(self, request: Request, answer: Answer) -> None:
        call = self.call(request)
        if call is None or answer.status >= 400:
            return
        if answer.status not in call["answers"]:
            self._complain(request, f"answered {answer.status}")
        elif call["answers"][answer.status]:
            self._hold(request, "answer", answer.body, call["answers"][answer.status])

    def _hold(self, request: Request, what: str, text: bytes, schema: dict[str, Any]) -> None:
        if id(schema) not in self._made:
            self._made[id(schema)] = jsonschema_rs.Draft7Validator({**schema, "definitions": self._definitions}
                if "$ref" not in schema else {"allOf": [schema], "definitions": self._definitions})  # fmt: skip
        try:
            value = json.loads(text)
        except ValueError:
            self._complain(request, f"{what}: no JSON")
            return
        for error in self._made[id(schema)].iter_errors(value):
            self._complain(request, f"{what}: {'/'.join(map(str, error.instance_path))}: {error.message}")

    def _complain(self, request: Request, what: str) -> None:
        self.complaints.append(f"{request.method} {request.path}: {what}")
