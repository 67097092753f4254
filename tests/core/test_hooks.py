"""The owner's scripts as argument lists: whatever is filled in, the number of words stays."""

from __future__ import annotations

import pytest

from support_tunnel.core.errors import UsageError
from support_tunnel.core.hooks import HookCommand, HookContext
from support_tunnel.core.names import TunnelId

CONTEXT = HookContext(TunnelId("ab" * 16), "st-abababab", "fd00::2", "fd00::/64", "stabababab")


def test_each_placeholder_is_filled_and_stays_one_word() -> None:
    command = HookCommand.parse("/opt/hook {id} --iface={iface} '{ip} and {net}' {user}{user}")
    assert command.argv(CONTEXT) == [
        "/opt/hook",
        "ab" * 16,
        "--iface=st-abababab",
        "fd00::2 and fd00::/64",
        "stabababab" * 2,
    ]


def test_nothing_is_shell_text() -> None:
    command = HookCommand.parse("/opt/hook ; rm -rf / && $(reboot) `x` > /etc/passwd")
    assert command.argv(CONTEXT)[1:] == [";", "rm", "-rf", "/", "&&", "$(reboot)", "`x`", ">", "/etc/passwd"]


def test_the_same_values_are_in_the_environment() -> None:
    assert CONTEXT.environment() == {
        "SUPPORT_TUNNEL_ID": "ab" * 16,
        "SUPPORT_TUNNEL_IFACE": "st-abababab",
        "SUPPORT_TUNNEL_IP": "fd00::2",
        "SUPPORT_TUNNEL_NET": "fd00::/64",
        "SUPPORT_TUNNEL_USER": "stabababab",
    }


@pytest.mark.parametrize("text", ["", "hook", "./hook", "/opt/hook '", "/opt/hook {code}", "~/hook"])
def test_a_wrong_one_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        HookCommand.parse(text)
    assert refused.value.code == "config.hook"
