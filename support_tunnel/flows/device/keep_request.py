"""Keep what reads an answer to a request, so that another process of this device can go on with it: on tmpfs, root only.

It is dropped before CONFIRM reveals anything: from then on one process alone goes on, or the tunnel ends (2.3).
"""

from __future__ import annotations

import json

from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.device import DeviceOffer
from support_tunnel.desired import probes
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import load_record
from support_tunnel.flows.device.request import Requested

__all__ = ["drop_request", "is_kept", "keep_request", "kept_request", "waiting_requests"]

_OFFER = "offer"
_KEYS = "keys"


def keep_request(ports: DevicePorts, requested: Requested, *, keeper: tuple[str, ...]) -> None:
    """Have it ended by the clock, and only then keep it. Raises HostError `probe.failed`."""
    tunnel = requested.tunnel
    left = (requested.record.until - ports.clock.now()).total_seconds()
    probes.read(ports.shell, probes.end_request_after(Names(tunnel), keeper, max(1, int(left))), timeout=20)
    keys = {"wireguard": requested.wireguard_private.reveal(), "ssh_host": requested.ssh_host_private.reveal()}
    ports.vault.put(tunnel, _KEYS, Secret(json.dumps(keys).encode()))
    # Last: what has it is alive, and is left alone by whoever cleans up.
    ports.vault.put(tunnel, _OFFER, requested.offer.dump())


def is_kept(ports: DevicePorts, tunnel: TunnelId) -> bool:
    """Whether a request waits for an answer, or for its owner, without a tool that watches it; a damaged one does not."""
    try:
        record = load_record(ports.vault, tunnel)
    except UsageError:
        return False
    return (
        record is not None
        and record.stage == "requested"
        and ports.clock.now() < record.until
        and ports.vault.get(tunnel, _OFFER) is not None
    )


def waiting_requests(ports: DevicePorts) -> list[TunnelId]:
    return [tunnel for tunnel in ports.vault.tunnels() if is_kept(ports, tunnel)]


def kept_request(ports: DevicePorts, tunnel: TunnelId) -> Requested:
    """Raises WrongState `request.gone` when there is nothing to go on with, UsageError `offer.dump` when it is damaged."""
    record, offer, keys = (
        load_record(ports.vault, tunnel),
        ports.vault.get(tunnel, _OFFER),
        ports.vault.get(tunnel, _KEYS),
    )
    if record is None or record.stage != "requested" or offer is None or keys is None:
        raise WrongState(
            "request.gone",
            f"no request {tunnel[:8]} waits on this device",
            next_step="See what there is with `inv status`; ask for support with `inv request`.",
        )
    try:
        private = json.loads(keys.reveal())
        wireguard, ssh_host = Secret(str(private["wireguard"])), Secret(str(private["ssh_host"]))
    except (ValueError, KeyError, TypeError):
        raise UsageError(
            "offer.dump",
            "the saved keys of this request are damaged",
            next_step=f"End it with `inv stop {tunnel[:8]}` and ask again.",
        ) from None
    return Requested(DeviceOffer.load(offer), ports.mailbox_for(record.device_token), record, wireguard, ssh_host)


def drop_request(ports: DevicePorts, tunnel: TunnelId) -> None:
    """No other process can read an answer from here on, and whoever goes on ends it. What was never kept is no concern."""
    if ports.vault.get(tunnel, _OFFER) is None:
        return
    for name in (_OFFER, _KEYS):
        ports.vault.drop(tunnel, name)
    ports.shell.run_script(probes.forget_request_timer(Names(tunnel)), timeout=20)
