"""A Nova that somebody runs (nova_server.py), asked through the gate: OpenStack's own code in place of our fake of it.

Its network service is a fixture of Nova's that can make no security groups, so those are ours here too.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tests.clouds.gate import Answer, Request
from tests.clouds.openstack import Openstack

__all__ = ["ADDRESS", "Nova"]

ADDRESS = os.environ.get("SUPPORT_TUNNEL_NOVA", "")
"""Where it listens, e.g. http://127.0.0.1:18774."""


class Nova(Openstack):
    def __init__(self) -> None:
        super().__init__()
        for server in self.everything():
            self._forward("DELETE", f"/v2.1/servers/{server}")

    def handle(self, request: Request) -> Answer:
        ours = request.path.startswith(("/v3/", "/v2.1/os-security-group"))
        if ours or not self.contract or not self.contract.asked(request):
            return super().handle(request)
        body = request.body
        if self.creates(request):
            asked = json.loads(body)
            asked["server"].pop("security_groups", None)
            body = json.dumps(asked).encode()
        told = self._forward(request.method, request.target, body)
        self.contract.answered(request, told)
        return told

    def settings(self, url: str) -> dict[str, str]:
        image, network = "155d900f-4e14-4e4c-a73d-069cbf4541e6", "3cb9bc59-5699-4588-a4b1-b87f96708bc6"
        return {**super().settings(url), "image": image, "network": network}

    def everything(self) -> list[str]:
        return [
            str(server["id"]) for server in json.loads(self._forward("GET", "/v2.1/servers/detail").body)["servers"]
        ]

    def _make(self, asked: dict[str, Any]) -> dict[str, Any]:
        server = {**asked, "flavorRef": "2", "imageRef": "155d900f-4e14-4e4c-a73d-069cbf4541e6", "networks": "none"}
        del server["networks"]
        made = json.loads(self._forward("POST", "/v2.1/servers", json.dumps({"server": server}).encode()).body)
        return dict(made["server"])

    @staticmethod
    def _forward(method: str, target: str, body: bytes = b"") -> Answer:
        at = urlsplit(ADDRESS)
        line = http.client.HTTPConnection(str(at.hostname), at.port, timeout=60)
        headers: Mapping[str, str] = {"Content-Type": "application/json", "X-Auth-Token": "tok"}
        line.request(method, target, body or None, dict(headers))
        told = line.getresponse()
        content = told.read()
        line.close()
        return Answer(told.status, content, told.headers.get("content-type", "application/json"))
