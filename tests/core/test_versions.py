"""The rules by which releases of different ages meet (docs/protocol.md, Versions): refused inside the seal, never half understood."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support_tunnel.core.errors import MessageError, UsageError
from support_tunnel.core.st1 import bech32m, canonical, payloads
from support_tunnel.core.st1.admin import AdminOffer
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.entropy import SYSTEM
from support_tunnel.core.st1.payloads import Answer
from support_tunnel.core.st1.seal import OFFER, Header, seal
from support_tunnel.core.states import AdminState, DeviceState


def next_release(patch: pytest.MonkeyPatch) -> None:
    """From here on our own code is that of a release which speaks version 3 and nothing before it."""
    patch.setattr(payloads, "PLAIN", 3)
    patch.setattr(payloads, "NEWEST", 3)


class NewerAnswer(Answer):
    """As a release of the next version might say it: a key more."""

    def unsigned_json(self) -> dict[str, object]:
        return {**Answer.unsigned_json(self), "v": 3, "motto": "newer"}


def newer_offer(parties: Any) -> bytes:
    """Its keys are others, too: that must not hide what the trouble is."""
    content = {**parties.offer().offer.to_json(), "v": 3, "motto": "newer"}
    del content["max_ttl"]
    return seal(parties.code.prk.reveal(), Header(OFFER, parties.code.tunnel), canonical.dumps(content), SYSTEM)


def refusal(caught: pytest.ExceptionInfo[MessageError]) -> tuple[str, str]:
    return caught.value.message, caught.value.next_step


def test_a_newer_device_and_this_tool(parties: Any) -> None:
    with pytest.raises(MessageError) as caught:
        AdminOffer.open(parties.code, newer_offer(parties))
    assert caught.value.code == "msg.version"
    said, then = refusal(caught)
    assert said == "the device speaks version 3 of the protocol, this tool version 2"
    assert then.startswith("Upgrade support-tunnel on this machine")


def test_an_older_device_and_a_newer_tool(parties: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    m1 = parties.offer().message
    next_release(monkeypatch)
    with pytest.raises(MessageError) as caught:
        AdminOffer.open(parties.code, m1)
    assert caught.value.code == "msg.version"
    assert "on the device" in refusal(caught)[1]


def test_a_newer_tool_and_this_device(parties: Any) -> None:
    device = parties.offer()
    newer = parties.hostile_answer(device.message, mutate=lambda a: NewerAnswer(**{n: getattr(a, n) for n in FIELDS}))
    with pytest.raises(MessageError) as caught:
        parties.opened(device, newer)
    assert caught.value.code == "msg.version"
    said, then = refusal(caught)
    assert said == "the helper's tool speaks version 3 of the protocol, this device version 2"
    assert then.startswith("Upgrade support-tunnel on this device")
    assert device.state is DeviceState.STOPPED


FIELDS = tuple(Answer.__dataclass_fields__)


def test_an_older_tool_and_a_newer_device(parties: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device = parties.offer()
    m2 = parties.answer(device.message).message
    next_release(monkeypatch)
    with pytest.raises(MessageError) as caught:
        parties.opened(device, m2)
    assert (caught.value.code, device.state) == ("msg.version", DeviceState.STOPPED)
    assert refusal(caught)[1].startswith("Your helper has to upgrade")


def test_the_tool_can_answer_the_same_code_after_its_upgrade(parties: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusing used nothing up: the code is still good for its one answer."""
    with monkeypatch.context() as only_here:
        next_release(only_here)
        m1 = parties.offer().message
    with pytest.raises(MessageError):
        AdminOffer.open(parties.code, m1)
    next_release(monkeypatch)
    assert AdminOffer.open(parties.code, m1).state is AdminState.OFFER_READ


def test_an_unknown_key_of_the_same_version_is_no_newer_version(parties: Any) -> None:
    content = {**parties.offer().offer.to_json(), "motto": "newer"}
    m1 = seal(parties.code.prk.reveal(), Header(OFFER, parties.code.tunnel), canonical.dumps(content), SYSTEM)
    with pytest.raises(MessageError) as caught:
        AdminOffer.open(parties.code, m1)
    assert caught.value.code == "msg.fields"


def test_the_mailbox_cannot_say_that_somebody_has_to_upgrade(parties: Any) -> None:
    """The version in the header is in clear: whoever changes it is somebody without the code, not a newer release."""
    device = parties.offer()
    with pytest.raises(MessageError) as caught:
        AdminOffer.open(parties.code, b"ST\x02" + device.message[3:])
    assert caught.value.code == "msg.auth"
    with pytest.raises(MessageError) as caught:
        parties.opened(device, b"ST\x02" + parties.answer(device.message).message[3:])
    assert (caught.value.code, device.state) == ("msg.auth", DeviceState.OFFERED)


@pytest.mark.parametrize("kind", range(1, 32))
def test_a_code_of_another_kind_is_for_a_newer_release(kind: int) -> None:
    """What may change of the envelope itself, changes with the code's first character."""
    newer = bech32m.encode("st", [kind, *bech32m.to_values(bytes(range(32)))])
    with pytest.raises(UsageError) as caught:
        Code.parse(newer)
    assert caught.value.code == "code.kind"
    assert caught.value.next_step.startswith("Update support-tunnel here")


# --- the version of a tunnel is the lowest that can say it -----------------------------------------------------------


def test_a_device_that_wants_wireguard_alone_speaks_as_before(parties: Any) -> None:
    assert parties.offer().offer.to_json()["v"] == 1
    for more in ("headscale", "wireguard-443"):
        assert parties.offer(transports=("wireguard", more)).offer.to_json()["v"] == 2


@pytest.mark.parametrize(
    ("version", "transports"),
    [
        (1, ["headscale"]),
        (1, ["wireguard", "headscale"]),
        (1, ["wireguard", "wireguard-443"]),
        (1, ["wireguard-443"]),
        (2, ["wireguard"]),
        (2, ["headscale", "headscale"]),
        (2, ["wireguard-443"]),
        (2, ["wireguard-443", "headscale"]),
        (2, ["wireguard", "wireguard-443", "wireguard-443"]),
        (2, ["wireguard", "wireguard-80"]),
        (2, []),
    ],
)
def test_a_transport_of_another_version_is_refused(parties: Any, version: int, transports: list[str]) -> None:
    content = {**parties.offer().offer.to_json(), "v": version, "transports": transports}
    m1 = seal(parties.code.prk.reveal(), Header(OFFER, parties.code.tunnel), canonical.dumps(content), SYSTEM)
    with pytest.raises(MessageError) as caught:
        AdminOffer.open(parties.code, m1)
    assert (caught.value.code, "transports" in caught.value.message) == ("msg.value", True)


@pytest.mark.parametrize(("offered", "version"), [(("wireguard",), 2), (("wireguard", "headscale"), 1)])
def test_an_answer_is_in_the_version_of_its_offer(parties: Any, offered: tuple[str, ...], version: int) -> None:
    device = parties.offer(transports=offered)
    with pytest.raises(MessageError) as caught:
        parties.opened(device, parties.hostile_answer(device.message, mutate=lambda a: replace(a, version=version)))
    assert (caught.value.code, device.state) == ("msg.version", DeviceState.STOPPED)
