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
from support_tunnel.core.st1.device import DeviceOffer, DeviceSession
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
            self.blobs: list[bytes] = [self.device.message]
            self.sessions = 0
            self.yes = False
            self.digits = ""
            self.last = DeviceState.OFFERED
            self.now = self.parties.now

        @precondition(lambda self: len(self.admins) < 3)
        @rule(blob=st.integers(0, 40))
        def admin_reads_some_offer(self, blob: int) -> None:
            try:
                offer = AdminOffer.open(self.parties.code, self.blobs[blob % len(self.blobs)])
            except MessageError:
                return
            self.admins.append(offer.answer(**self.parties.fields()))
            self.blobs.append(self.admins[-1].message)

        @rule(blob=st.integers(0, 40))
        def device_is_given_some_answer(self, blob: int) -> None:
            try:
                self.session = self.device.open_answer(
                    self.blobs[blob % len(self.blobs)], trust=self.parties.trust, now=self.now
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
                self.blobs.append(self.session.confirm(self.now))
            except WrongState:
                assert self.session.state in {DeviceState.ACTIVE, DeviceState.STOPPED}

        @precondition(lambda self: bool(self.admins))
        @rule(admin=st.integers(0, 2), blob=st.integers(0, 40), ready=st.booleans())
        def admin_is_given_something(self, admin: int, blob: int, ready: bool) -> None:
            chosen, data = self.admins[admin % len(self.admins)], self.blobs[blob % len(self.blobs)]
            try:
                if ready:
                    chosen.read_ready(data)
                else:
                    self.digits = chosen.read_confirm(data, self.now)
            except SupportTunnelError:
                return

        @precondition(lambda self: self.session is not None)
        @rule(wrong=st.booleans())
        def owner_types_digits(self, wrong: bool) -> None:
            assert self.session is not None
            try:
                self.session.digits_match("12345" if wrong else self.digits)
            except (WrongState, ConsentRefused):
                return

        @precondition(lambda self: self.session is not None)
        @rule(skip=st.booleans())
        def owner_says_yes(self, skip: bool) -> None:
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
            self.blobs.append(m4)

        @rule(n=st.integers(0, 9))
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
        machine(make_parties), settings=settings(max_examples=60, stateful_step_count=30, deadline=None)
    )
