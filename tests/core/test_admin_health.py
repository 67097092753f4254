"""An admin's machine with one thing broken at a time: it is named, and what to do is said."""

from __future__ import annotations

import pytest

from support_tunnel.core.admin_health import (
    SecretFile,
    judge_clouds,
    judge_own_node,
    judge_private_file,
    judge_root,
    judge_ssh,
    judge_vault,
)
from support_tunnel.core.device_health import Check
from support_tunnel.core.errors import UsageError

LACKS = UsageError("node.programs", "this machine lacks tailscaled", next_step="Install it.")
WELL = [
    judge_ssh(["curve25519-sha256", "mlkem768x25519-sha256"]),
    judge_ssh(["sntrup761x25519-sha512@openssh.com"]),
    judge_private_file("token", SecretFile("/x", 0o600), absent="Get one."),
    judge_private_file("token", SecretFile("/x", 0o400), absent="Get one."),
    judge_vault("/run/x", in_memory=True),
    judge_own_node(None, wanted=True, left=[]),
    judge_own_node(LACKS, wanted=False, left=[]),
    judge_root(["local"], uid=0),
    judge_root(["far"], uid=1000),
    *judge_clouds({"local": ""}),
]
BROKEN = [
    (judge_ssh(None), "fail", "no ssh"),
    (judge_ssh([]), "fail", "post-quantum"),
    (judge_ssh(["curve25519-sha256"]), "fail", "post-quantum"),
    (judge_private_file("token", SecretFile("/x", None), absent="Get one."), "fail", "not there"),
    (judge_private_file("token", SecretFile("/x", 0o640), absent="Get one."), "fail", "0640"),
    (judge_private_file("token", SecretFile("/x", 0o604), absent="Get one."), "fail", "others"),
    (judge_private_file("token", SecretFile("/x", 0o600, ours=False), absent="Get one."), "fail", "somebody else"),
    (judge_vault("/home/x", in_memory=False), "fail", "disk"),
    (judge_own_node(LACKS, wanted=True, left=[]), "fail", "lacks tailscaled"),
    (judge_own_node(None, wanted=False, left=["0badcafe"]), "warn", "0badcafe"),
    (judge_root(["far", "local"], uid=1000), "warn", "root"),
    (judge_clouds({"far": "401"})[0], "fail", "401"),
]


@pytest.mark.parametrize("check", WELL)
def test_what_is_well_needs_no_fix(check: Check) -> None:
    assert (check.state, check.fix) == ("ok", "")


@pytest.mark.parametrize(("check", "state", "said"), BROKEN)
def test_what_is_broken_is_named_with_its_fix(check: Check, state: str, said: str) -> None:
    assert check.state == state
    assert said in check.said
    assert check.fix
