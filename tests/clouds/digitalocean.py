"""DigitalOcean with state: droplets as it really answered with them, held to its own description of its API."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tests.clouds.contract import Contract
from tests.clouds.gate import Answer, Request
from tests.clouds.rest import Rest, answer, recorded

__all__ = ["DigitalOcean"]


def _error(code: str, message: str) -> dict[str, str]:
    return {"id": code, "message": message}


class DigitalOcean(Rest):
    name = "digitalocean"
    creating = "POST /v2/droplets"
    listing = "GET /v2/droplets"
    destroying = r"DELETE /v2/droplets/\d+"
    refusals: ClassVar[Mapping[str, tuple[int, object]]] = {
        "auth": (401, _error("unauthorized", "Unable to authenticate you")),
        "quota": (422, _error("unprocessable_entity", "creating this/these droplet(s) will exceed your droplet limit")),
        "rate": (429, _error("too_many_requests", "API Rate limit exceeded.")),
        "bad-request": (422, _error("unprocessable_entity", "You specified an invalid size for Droplet creation.")),
        "retry": (500, _error("server_error", "Unexpected server-side error")),
    }

    def __init__(self) -> None:
        super().__init__()
        self.contract = Contract("digitalocean")
        self.tags: set[str] = set()
        self.routes = [
            (self.creating, self._create),
            (self.listing, self._list),
            (r"DELETE /v2/droplets/(\d+)", self._destroy),
            ("POST /v2/firewalls", self._open),
            ("GET /v2/firewalls", self._walls),
            (r"DELETE /v2/firewalls/([\w-]+)", self._close),
            ("POST /v2/tags", self._tag),
            (r"DELETE /v2/tags/([\w:-]+)", self._untag),
            ("GET /v2/regions", lambda _: answer(200, _with_ours("list_locations", "regions", {"slug": "fra1"}))),
            (
                "GET /v2/sizes",
                lambda _: answer(200, _with_ours("list_sizes", "sizes", {"slug": "s-1vcpu-1gb", "regions": ["fra1"]})),
            ),
            (r"GET /v2/images/([\w-]+)", self._image),
            (r"POST /v2/droplets/(\d+)/actions", self._bake),
            ("GET /v2/snapshots", lambda request: self._page(request, "snapshots", list(self.images.values()))),
            (r"DELETE /v2/snapshots/([\w-]+)", self._discard),
            (
                "GET /v2/tags",
                lambda request: self._page(request, "tags", [self._counted(tag) for tag in sorted(self.tags)]),
            ),
            (
                "GET /v2/account",
                lambda _: answer(
                    200, {"account": {**_ACCOUNT, "droplet_limit": len(self.servers) if self.full else 25}}
                ),
            ),
        ]

    def handle(self, request: Request) -> Answer:
        """A scope is looked at before anything else, and is named."""
        kind, action = request.path.split("/")[2].removesuffix("s"), _ACTIONS[request.method]
        scope = f"{kind}s:{action}" if kind in ("region", "size") else f"{kind}:{action}"
        if scope in self.lacks:
            return answer(403, _error("forbidden", f"You are missing the required permission {scope}"))
        return super().handle(request)

    def settings(self, url: str) -> dict[str, str]:
        return {"token": "canary-token", "region": "fra1", "endpoint": url}

    def not_found(self) -> object:
        return _error("not_found", "The resource you were accessing could not be found.")

    def foreign(self, name: str) -> str:
        return str(self._make({"name": name, "tags": ["web"]})["id"])

    def foreign_wall(self, name: str) -> str:
        rule = {"protocol": "tcp", "ports": "80", "sources": {"addresses": ["0.0.0.0/0"]}}
        self.firewalls["bb4b2611-1"] = {
            "id": "bb4b2611-1", "name": f"{name}.2000000000", "tags": ["web"], "inbound_rules": [rule], "outbound_rules": [],
            "status": "succeeded",
        }  # fmt: skip
        return "bb4b2611-1"

    def let_in(self, wall: dict[str, Any]) -> Iterator[tuple[str, int, str]]:
        for rule in wall["inbound_rules"]:
            for network in rule["sources"]["addresses"]:
                yield rule["protocol"], int(rule["ports"]), network

    def _image(self, _: Request, slug: str) -> Answer:
        found = {**recorded("digitalocean_v2/get_image.json")["image"], "slug": slug, "regions": ["fra1"]}
        return answer(200, {"image": found}) if slug == "debian-13-x64" else answer(404, self.not_found())

    def _make(self, asked: dict[str, Any]) -> dict[str, Any]:
        droplet = copy.deepcopy(recorded("digitalocean_v2/list_nodes.json")["droplets"][0])
        droplet |= {"id": next(self.numbers), "name": asked["name"], "tags": asked.get("tags") or []}
        self.tags |= set(droplet["tags"])
        self.servers[str(droplet["id"])] = droplet
        return dict(droplet)

    def turn_off(self, number: str) -> None:
        self.servers[number]["status"] = "off"

    def foreign_picture(self) -> str:
        return self._picture("support-tunnel-image-of the web team", "1")

    def _picture(self, name: str, of: str) -> str:
        number = str(next(self.numbers))
        self.images[number] = {
            "id": number, "name": name, "created_at": "2030-01-01T00:00:00Z", "regions": ["fra1"], "min_disk_size": 25,
            "size_gigabytes": 2.3, "resource_id": of, "resource_type": "droplet", "tags": [],
        }  # fmt: skip
        return number

    def _bake(self, request: Request, number: str) -> Answer:
        if number not in self.servers:
            return answer(404, self.not_found())
        if not self.images_become:
            self._picture(json.loads(request.body)["name"], number)
        return answer(201, {"action": {"id": 1, "status": "in-progress", "type": "snapshot"}})

    def _discard(self, _: Request, number: str) -> Answer:
        return answer(204) if self.images.pop(number, None) else answer(404, self.not_found())

    def _create(self, request: Request) -> Answer:
        return answer(202, {"droplet": self._make(json.loads(request.body)), "links": {}})

    def _list(self, request: Request) -> Answer:
        wanted = request.query.get("tag_name")
        found = [droplet for droplet in self.servers.values() if wanted is None or wanted in droplet["tags"]]
        return self._page(request, "droplets", found)

    def _page(self, request: Request, what: str, found: list[Any]) -> Answer:
        page = int(request.query.get("page", "1"))
        end = self.page_size * page
        more = {"pages": {"next": f"/?page={page + 1}"}} if len(found) > end else {}
        return answer(200, {what: found[end - self.page_size : end], "links": more, "meta": {"total": len(found)}})

    def _destroy(self, _: Request, number: str) -> Answer:
        return answer(204) if self.servers.pop(number, None) else answer(404, self.not_found())

    def _open(self, request: Request) -> Answer:
        asked = json.loads(request.body)
        if not set(asked.get("tags") or []) <= self.tags:
            return answer(422, _error("unprocessable_entity", "tags do not exist"))
        number = f"bb4b2611-{next(self.numbers)}"
        self.firewalls[number] = {**asked, "id": number, "status": "succeeded"}
        return answer(202, {"firewall": self.firewalls[number]})

    def _walls(self, request: Request) -> Answer:
        return self._page(request, "firewalls", list(self.firewalls.values()))

    def _close(self, _: Request, number: str) -> Answer:
        return answer(204) if self.firewalls.pop(number, None) else answer(404, self.not_found())

    def _tag(self, request: Request) -> Answer:
        name = json.loads(request.body)["name"]
        self.tags.add(name)
        return answer(201, {"tag": {"name": name}})

    def _counted(self, name: str) -> dict[str, Any]:
        count = sum(name in droplet["tags"] for droplet in self.servers.values())
        return {"name": name, "resources": {"count": count, "droplets": {"count": count}}}

    def _untag(self, _: Request, name: str) -> Answer:
        self.tags.discard(name)
        for droplet in self.servers.values():
            droplet["tags"] = [tag for tag in droplet["tags"] if tag != name]
        return answer(204)


def _with_ours(name: str, what: str, ours: dict[str, Any]) -> dict[str, Any]:
    """A recorded list, and one more like its first that is of our region."""
    told: dict[str, Any] = recorded(f"digitalocean_v2/{name}.json")
    return {**told, what: [*told[what], {**told[what][0], **ours}]}


_ACTIONS = {"GET": "read", "POST": "create", "DELETE": "delete"}
_ACCOUNT = {
    "email": "x", "email_verified": True, "floating_ip_limit": 3, "status": "active", "status_message": "", "uuid": "x",
}  # fmt: skip
