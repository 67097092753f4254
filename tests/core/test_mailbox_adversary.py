"""Property P5: a mailbox that delivers, drops, doubles, reorders and replays as it likes, and people who do as they like.

Kept, whatever happens: a device is never active without its owner's yes; one offer never becomes two sessions; both sides
have the same PSK when active; stopped is final.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from support_tunnel.core.consent import by_owner
from support_tunnel.core.errors import ConsentRefused, MessageError, SupportTunnelError, WrongState
from support_tunnel.core.st1.admin import AdminOffer, AdminSession
from support_tunnel.core.st1.device import DeviceOffer
from support_tunnel.core.st1.device_session import DeviceSession
from support_tunnel.core.states import AdminState, DeviceState

HEAD = "cd" * 32
ORDER = list(DeviceState)


def machine(make_parties: Any) -> type[RuleBasedStateMachine]:
    class AdversarialMailbox(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.parties = make_parties()
            self.device: DeviceOffer = self.parties.offer()
            self.session: DeviceSession | None = None
            self.admins: list[AdminSession] = []
            self.slots: dict[str, list[bytes]] = {
                "offer": [self.device.message],
                "answer": [],
                "confirm": [],
                "ready": [],
            }
            self.sessions = 0
            self.yes = False
            self.digits = ""
            self.last = DeviceState.OFFERED
            self.now = self.parties.now

        def some(self, slot: str, other: int, n: int) -> bytes:
            """A message out of `slot`, or, one time in four, out of any: which of them is the mailbox's choice."""
            wrong = [blob for blobs in self.slots.values() for blob in blobs]
            blobs = wrong if other == 0 or not self.slots[slot] else self.slots[slot]
            return blobs[n % len(blobs)]

        @precondition(lambda self: len(self.admins) < 3)
        @rule(other=st.integers(0, 3), n=st.integers(0, 9))
        def admin_reads_some_offer(self, other: int, n: int) -> None:
            try:
                offer = AdminOffer.open(self.parties.code, self.some("offer", other, n))
            except MessageError:
                return
            self.admins.append(offer.answer(**self.parties.fields()))
            self.slots["answer"].append(self.admins[-1].message)

        @precondition(lambda self: bool(self.admins))
        @rule(other=st.integers(0, 3), n=st.integers(0, 9))
        def device_is_given_some_answer(self, other: int, n: int) -> None:
            try:
                self.session = self.device.open_answer(
                    self.some("answer", other, n), trust=self.parties.trust, now=self.now
                )
                self.sessions += 1
            except MessageError:
                return

        @rule()
        def device_is_given_garbage(self) -> None:
            with pytest.raises(MessageError):
                self.device.open_answer(b"ST\x01\x02" + bytes(2000), trust=self.parties.trust, now=self.now)

        @precondition(lambda self: self.session is not None)
        @rule()
        def device_confirms(self) -> None:
            assert self.session is not None
            try:
                self.slots["confirm"].append(self.session.confirm(self.now))
            except WrongState:
                assert self.session.state in {DeviceState.ACTIVE, DeviceState.STOPPED}

        @precondition(lambda self: bool(self.slots["confirm"]))
        @rule(other=st.integers(0, 3), n=st.integers(0, 9))
        def admins_are_given_some_confirmation(self, other: int, n: int) -> None:
            for admin in self.admins:
                try:
                    self.digits = admin.read_confirm(self.some("confirm", other, n), self.now)
                except SupportTunnelError:
                    continue

        @precondition(lambda self: bool(self.slots["ready"]))
        @rule(other=st.integers(0, 3), n=st.integers(0, 9))
        def admins_are_given_some_ready(self, other: int, n: int) -> None:
            for admin in self.admins:
                try:
                    admin.read_ready(self.some("ready", other, n))
                except SupportTunnelError:
                    continue

        @precondition(lambda self: self.session is not None)
        @rule(slip=st.integers(0, 3))
        def owner_types_digits(self, slip: int) -> None:
            assert self.session is not None
            try:
                self.session.digits_match("12345" if slip == 0 else self.digits)
            except (WrongState, ConsentRefused):
                return

        @precondition(lambda self: self.session is not None)
        @rule(how=st.integers(0, 3))
        def owner_says_yes(self, how: int) -> None:
            skip = how == 0
            assert self.session is not None
            try:
                consent = by_owner(self.session, digits_skipped=skip)
                matched = self.session.digits_matched
                m4 = self.session.ready(
                    consent=consent, user="st0", until=self.session.until - timedelta(seconds=1), path=0, log_head=HEAD
                )
            except WrongState:
                return
            assert matched or skip
            self.yes = True
            self.slots["ready"].append(m4)

        @rule(n=st.integers(0, 19))
        def somebody_stops(self, n: int) -> None:
            if n == 0:
                (self.session or self.device).stop()

        @invariant()
        def never_active_without_yes(self) -> None:
            assert self.device.state is not DeviceState.ACTIVE or self.yes

        @invariant()
        def never_two_sessions(self) -> None:
            assert self.sessions <= 1
            assert sum(admin.state is AdminState.READY for admin in self.admins) <= 1

        @invariant()
        def only_forward_and_stopped_is_final(self) -> None:
            assert ORDER.index(self.device.state) >= ORDER.index(self.last)
            self.last = self.device.state

        @invariant()
        def same_psk_when_active(self) -> None:
            if self.session is not None and self.device.state is DeviceState.ACTIVE:
                ready = [admin for admin in self.admins if admin.state is AdminState.READY]
                assert all(admin.psk == self.session.psk for admin in ready)
                assert sum(admin.psk == self.session.psk for admin in self.admins) == 1

    return AdversarialMailbox


def test_p5_adversarial_mailbox(make_parties: Any) -> None:
    run_state_machine_as_test(
        machine(make_parties), settings=settings(max_examples=100, stateful_step_count=40, deadline=None)
    )
