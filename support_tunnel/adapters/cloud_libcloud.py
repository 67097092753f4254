"""Servers from any cloud that libcloud drives and `cloud_table.py` has a row for, each with a firewall of its own where the row has one.

That a server is gone is never taken on trust. How a cloud is asked (drivers, credentials, patience) is `cloud_line.py`'s, what it lists
`cloud_seen.py`'s, how a server is made `cloud_making.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from support_tunnel.adapters.cloud_endings import Hands, Troubles, end_all, hands
from support_tunnel.adapters.cloud_failure import tail
from support_tunnel.adapters.cloud_images import LibcloudImages
from support_tunnel.adapters.cloud_line import PASSES, CloudLine
from support_tunnel.adapters.cloud_making import CloudMaking
from support_tunnel.adapters.cloud_seen import FIREWALL, OURS, CloudSeen
from support_tunnel.adapters.cloud_table import CLOUDS, CloudRow, row
from support_tunnel.adapters.clouds import words
from support_tunnel.adapters.clouds.row import Opened, Told, Wanted
from support_tunnel.adapters.clouds.told import check
from support_tunnel.core.errors import CloudError, SupportTunnelError
from support_tunnel.core.ports import Clock, Server, ServerSpec
from support_tunnel.core.secret import Secret
from support_tunnel.core.spending import parse_dollars

__all__ = ["LibcloudCloud"]

T = TypeVar("T")

_PATIENCE_FOR_DESTROY = 180.0


class LibcloudCloud:
    """The port `Cloud` over a libcloud driver; safe to share among threads."""

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        clock: Clock,
        *,
        rows: Mapping[str, CloudRow] = CLOUDS,
        secret: Callable[[str, str], Secret[str]] | None = None,
        besides: Told | None = None,
    ) -> None:
        """Raises UsageError `cloud.unknown`, and `config.*` for settings that the row does not know.

        `secret` reads one from where the inventory says it is, told what it is for; `besides` goes to the row unchecked.
        """
        self.row = row(name, rows)
        self._written = {**check(self.row, settings, f"support_tunnel/clouds/{name}"), **(besides or {})}
        self._clock = clock
        self._line = CloudLine(self.row, self._written, clock, secret)
        self._seen = CloudSeen(self.row, self._line)
        self._making = CloudMaking(self.row, self._line, self._seen, clock, end=self.destroy, close=self._close_one)

    @property
    def only_wireguard(self) -> bool:
        return self.row.only_wireguard

    def create(self, spec: ServerSpec) -> Server:
        return self._making.create(spec)

    def servers(self) -> Sequence[Server]:
        servers = self._seen.servers()
        return [*servers, *self._seen.firewalls_without(servers)]

    def server(self, server_id: str) -> Server | None:
        return next((server for server in self._seen.servers() if server.id == server_id), None)

    def destroy(self, server_id: str) -> None:
        """End it; returns once the cloud no longer lists it. Raises CloudError `cloud.foreign` for what is not ours."""
        for trouble in self.destroy_all([server_id]).values():
            raise trouble

    def destroy_all(self, server_ids: Sequence[str]) -> Mapping[str, SupportTunnelError]:
        """End each, several at the same time, and its firewall after it; the lists that prove it are of all of them."""
        walls = [one for one in server_ids if one.startswith(FIREWALL)]
        servers = [one for one in server_ids if one not in walls]
        with hands(len(server_ids)) as pool:
            troubles = {
                **(self._end_servers(servers, pool) if servers else {}),
                **(self._end_walls(walls, pool) if walls else {}),
            }
        self._tidy()
        return troubles

    def _tidy(self) -> None:
        tidy, now = self.row.tidy, self._clock.now()
        if tidy is not None:
            with suppress(
                SupportTunnelError
            ):  # clutter costs nothing, so it is no trouble of a server; whoever ends the next one tries
                self._line.ask_once(lambda driver, _: tidy(driver, min(now, self._line.now() or now)))

    def _end_servers(self, server_ids: Sequence[str], pool: Hands) -> Troubles:
        seen: list[Any] = []
        ours: dict[str, Any] = {}
        troubles: Troubles = {}

        def listed() -> dict[str, Any]:
            seen[:] = self._seen.nodes()
            return {str(node.id): node for node in seen}

        try:
            there = listed()
        except SupportTunnelError as error:
            return dict.fromkeys(server_ids, error)
        for number in [one for one in server_ids if one in there]:
            if OURS in self.row.tags(there[number]):
                ours[number] = there[number]
            else:
                troubles[number] = CloudError(
                    "cloud.foreign", f"server {number} does not carry our tag, so it is not ours to destroy"
                )
        troubles |= self._all_ended(ours, "server", begin=self._begin_end, listed=listed, pool=pool)
        gone = {number: self.row.tags(node)[OURS] for number, node in ours.items() if number not in troubles}
        return troubles | self._end_walls_of(gone, seen, pool)

    def _begin_end(self, node: Any) -> bool:
        """Somebody else may have been quicker; the list has the last word, as it has over "True"."""
        try:
            self._line.ask(lambda driver, _: self.row.destroy(driver, node))
        except CloudError as failure:
            if failure.code != "cloud.gone":
                raise CloudError(
                    failure.code,
                    f"{failure.message}; server {node.id} is still there",
                    next_step=f"Run `fab sweep`, or end server {node.id} in the cloud's own console.",
                ) from failure
        return False

    def _end_walls_of(self, tunnels: Mapping[str, str], nodes: Sequence[Any], pool: Hands) -> Troubles:
        """Close the firewalls of servers that are gone, given by id with their tunnels; their trouble is the server's.

        `nodes` are those that are still there: when a second server of one create ends, the first still needs its ports.
        """
        if self.row.firewall is None or not tunnels:
            return {}
        try:
            held = self._line.ask(lambda *_: {self.row.tags(node).get(OURS) for node in nodes})
            over = set(tunnels.values()) - held
            walls = {wall.id: wall for wall in self._seen.firewalls() if wall.tags[OURS] in over} if over else {}
        except SupportTunnelError as error:
            return dict.fromkeys(tunnels, error)
        troubles = {walls[wall].tags[OURS]: error for wall, error in self._close(walls, pool).items()}
        return {number: troubles[tunnel] for number, tunnel in tunnels.items() if tunnel in troubles}

    def _end_walls(self, server_ids: Sequence[str], pool: Hands) -> Troubles:
        """Close those that were listed as servers."""
        try:
            walls = {wall.id: wall for wall in self._seen.firewalls() if f"{FIREWALL}{wall.id}" in server_ids}
        except SupportTunnelError as error:
            return dict.fromkeys(server_ids, error)
        return {f"{FIREWALL}{wall}": error for wall, error in self._close(walls, pool).items()}

    def _close(self, walls: Mapping[str, Opened], pool: Hands = None) -> Troubles:
        """Remove firewalls of ours; some clouds hold on to one for a while after its last server is gone."""

        def listed() -> dict[str, Opened]:
            return {wall.id: wall for wall in self._seen.firewalls()}

        return self._all_ended(walls, "firewall", begin=self._begin_close, listed=listed, pool=pool)

    def _close_one(self, wall: Opened) -> None:
        for trouble in self._close({wall.id: wall}).values():
            raise trouble

    def _begin_close(self, wall: Opened) -> bool:
        firewall = self.row.firewall
        try:
            if firewall is not None:
                self._line.ask(lambda driver, told: firewall.close(driver, wall, told))
        except CloudError as failure:
            if failure.code not in ("cloud.gone", "cloud.in-use", *PASSES):
                raise
        return True

    def _all_ended(
        self,
        things: Mapping[str, T],
        kind: str,
        *,
        begin: Callable[[T], bool],
        listed: Callable[[], Mapping[str, T]],
        pool: Hands,
    ) -> Troubles:
        def late(number: str) -> CloudError:
            return CloudError(
                "cloud.still-there",
                f"the cloud {self.row.name} still lists {kind} {number}",
                next_step=f"Run `fab sweep`, or end {kind} {number} in the cloud's own console.",
            )

        return end_all(
            things, begin=begin, listed=listed, late=late, pool=pool, seconds=_PATIENCE_FOR_DESTROY, clock=self._clock
        )

    def now(self) -> datetime | None:
        return self._line.now()

    def console(self, server_id: str) -> Sequence[str]:
        """For a person whose server does not come: asked once, since nothing hangs on it."""
        node = next((one for one in self._seen.nodes() if str(one.id) == server_id), None)
        return [] if node is None else tail(self._line.ask_once(lambda driver, _: self.row.written(driver, node)))

    def images(self) -> LibcloudImages:
        """Of the same account, by the same line."""
        return LibcloudImages(self.row, self._line, self._clock)

    def hourly(self) -> float | None:
        """As the inventory says, else as the row knows; some clouds are asked."""
        if self._written["hourly"]:
            return parse_dollars(self._written["hourly"], f"support_tunnel/clouds/{self.row.name}/hourly")
        spec = ServerSpec("", "", self._clock.now(), {})
        return self._line.ask(lambda driver, told: self.row.hourly(driver, spec, told))

    def look(self, question: Callable[[Any, Told], T]) -> T:
        """Ask the driver what may be asked twice. Raises as `servers`."""
        return self._line.ask(question)

    def accepted(self) -> None:
        """Ask something that takes the right credentials. Raises as `servers`."""
        if self.row.accepted is None:
            self._seen.nodes()
        else:
            ask = self.row.accepted
            self.look(lambda driver, _: ask(driver))

    def wanted(self) -> Wanted:
        """What a tunnel server here would be. Raises UsageError `cloud.unknown-name`."""
        spec = ServerSpec("", "", self._clock.now(), {})
        return Wanted(
            region=self._written.get("region", ""),
            size=words.by_word("size", self.row.sizes, spec.size, self._written),
            image=words.by_word("image", self.row.images, spec.image, self._written),
            rights=self.row.permissions,
        )
