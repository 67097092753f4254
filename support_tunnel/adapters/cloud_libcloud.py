"""Servers from any cloud that libcloud drives and `cloud_table.py` has a row for, each with a firewall of its own where the row has one.

Two things are never taken on trust: that a create without an answer made nothing, and that a server is gone. How a cloud is asked
(drivers, credentials, patience) is `cloud_line.py`'s, what it lists `cloud_seen.py`'s.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from support_tunnel.adapters.cloud_endings import Hands, Troubles, end_all, hands
from support_tunnel.adapters.cloud_failure import tail
from support_tunnel.adapters.cloud_line import PASSES, PAUSES, CloudLine
from support_tunnel.adapters.cloud_seen import FIREWALL, OURS, CloudSeen
from support_tunnel.adapters.cloud_table import CLOUDS, CloudRow, row
from support_tunnel.adapters.clouds.row import Opened, Told
from support_tunnel.adapters.clouds.told import check
from support_tunnel.core.errors import CloudError, SupportTunnelError
from support_tunnel.core.ports import Clock, Server, ServerSpec
from support_tunnel.core.secret import Secret
from support_tunnel.core.spending import parse_dollars

__all__ = ["LibcloudCloud"]

T = TypeVar("T")

_ATTEMPT = "st-attempt"
"""Tag with a random value for each create: tells the server of a lost answer from one of an earlier attempt."""
_PATIENCE_FOR_DESTROY = 180.0
_UNSURE = ("cloud.unknown", "cloud.taken")
"""Failures of a create that do not pass, and after which its server may be there all the same."""


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

    def create(self, spec: ServerSpec) -> Server:
        """Launch. When the answer is lost the server is looked for, and adopted if it was made, before there is another try."""
        limit, size = self.row.user_data_limit, len(spec.user_data.encode())
        if limit and size > limit:
            raise CloudError(
                "cloud.too-long", f"the cloud {self.row.name} takes {limit} bytes of user-data, and these are {size}"
            )
        spec = replace(spec, tags={**spec.tags, _ATTEMPT: secrets.token_hex(8)})
        opened = self._opened(spec)
        arguments = self._line.ask(lambda driver, told: self.row.arguments(driver, spec, told, opened))
        lost = False
        for pause in (*PAUSES, None):
            try:
                made = self._line.ask_once(
                    lambda driver, _: self._seen.server(self.row.create(driver, spec.name, arguments))
                )
            except CloudError as failure:
                renewed = failure.code == "cloud.auth" and self._line.renew()
                if not renewed and failure.code not in (*PASSES, *_UNSURE):
                    raise
                lost = lost or failure.code in ("cloud.retry", "cloud.unknown")
                # There is no other try after one that nobody understands, so its server may take its time to be listed.
                adopted = self._adopt(spec, PAUSES if lost and failure.code in _UNSURE else ())
                if adopted is not None:
                    return adopted
                if pause is None or failure.code in _UNSURE:
                    raise
                if not renewed:
                    self._line.pause(pause)
            else:
                # One of a try before, that the list did not show yet when it was looked for.
                return made if pause == PAUSES[0] else self._adopt(spec) or made
        raise AssertionError("the last try returns or raises")

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
            return {
                **(self._end_servers(servers, pool) if servers else {}),
                **(self._end_walls(walls, pool) if walls else {}),
            }

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

    def hourly(self) -> float | None:
        """As the inventory says, else as the row knows; some clouds are asked."""
        if self._written["hourly"]:
            return parse_dollars(self._written["hourly"], f"support_tunnel/clouds/{self.row.name}/hourly")
        spec = ServerSpec("", "", self._clock.now(), {})
        return self._line.ask(lambda driver, told: self.row.hourly(driver, spec, told))

    def _opened(self, spec: ServerSpec) -> Any:
        """Make its firewall. Tried again like a list: who opens the same ports twice finds them open."""
        firewall = self.row.firewall
        if firewall is None or not spec.open_ports:
            return None
        for known in self._seen.all_firewalls():
            if known.name == spec.name and known.tags.get(OURS) != spec.tags[OURS]:
                raise CloudError(
                    "cloud.taken",
                    f"the cloud {self.row.name} has a firewall {known.name} that is not this tunnel's",
                    next_step=f"Rename or remove firewall {known.id} in the cloud's own console.",
                )
            if known.name == spec.name:
                for trouble in self._close({known.id: known}).values():  # of an earlier try: it lets in another port
                    raise trouble
        return self._line.ask(lambda driver, told: firewall.open(driver, spec, told))

    def _adopt(self, spec: ServerSpec, pauses: Sequence[float] = ()) -> Server | None:
        """Find the server of a create whose answer was lost, and look again after each of `pauses`: a list may be behind.

        A second one, made by a driver's own retry, is ended.
        """
        for pause in (*pauses, None):
            found = [server for server in self._seen.servers() if server.tags.get(_ATTEMPT) == spec.tags[_ATTEMPT]]
            for surplus in found[1:]:
                self.destroy(surplus.id)
            if found:
                return found[0]
            if pause is not None:
                self._line.pause(pause)
        return None
