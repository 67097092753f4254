"""Any JSON in any field of any message is taken as it is, or refused with one type of error: property P10."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support_tunnel.core.errors import MessageError
from support_tunnel.core.scope import Scope
from support_tunnel.core.st1 import canonical
from support_tunnel.core.st1.payloads import Answer, Confirm, Control, Offer, Ready
from support_tunnel.core.st1.seal import ADMIN_CONTROL, CONFIRM, OFFER, READY, Kind, payload

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.data())
def test_p10_any_json_in_any_field(make_parties: Any, data: st.DataObject) -> None:
    parties = make_parties()
    found: dict[str, Any] = (
        parties.offer().offer.to_json()
        if data.draw(st.booleans())
        else Answer("a", (), (), Scope("view"), 60, "x").to_json()
    )
    reader = Offer.from_json if "kem" in found else Answer.from_json
    key = data.draw(st.sampled_from(sorted(found)))
    nested = found[key]
    if isinstance(nested, dict) and data.draw(st.booleans()):
        nested[data.draw(st.sampled_from(sorted(nested)))] = data.draw(JSON)
    else:
        found[key] = data.draw(JSON)
    raised = None
    try:
        text = canonical.dumps(found)
    except UnicodeEncodeError:
        return
    try:
        reader(payload(OFFER, text))
    except MessageError as error:
        raised = error
    assert raised is None or raised.code in {"msg.json", "msg.fields", "msg.value", "msg.version", "offer.kem"}


OTHERS: dict[str, tuple[Kind, dict[str, Any], Callable[[object], object]]] = {
    "confirm": (CONFIRM, Confirm(bytes(32), NOW).to_json(), Confirm.from_json),
    "ready": (READY, Ready("st01234567", NOW, 0, "ab" * 32).to_json(), Ready.from_json),
    "control": (
        ADMIN_CONTROL,
        Control("ping", "ab" * 32, NOW, 1).to_json(),
        lambda value: Control.from_json(value, 1),
    ),
}


@pytest.mark.parametrize("which", OTHERS)
@given(st.data())
def test_p10_any_json_in_any_field_of_the_others(which: str, data: st.DataObject) -> None:
    kind, good, reader = OTHERS[which]
    reader(payload(kind, canonical.dumps(good)))
    found = dict(good)
    key = data.draw(st.sampled_from([*sorted(found), "more"]))
    if data.draw(st.integers(0, 3)):
        found[key] = data.draw(JSON)
    else:
        found.pop(key, None)
    raised = None
    try:
        text = canonical.dumps(found)
    except UnicodeEncodeError:
        return
    try:
        read = reader(payload(kind, text))
        assert read.to_json() == found  # type: ignore[attr-defined]  # what is taken is taken as it is
    except MessageError as error:
        raised = error
    assert raised is None or raised.code in {"msg.json", "msg.fields", "msg.value"}
