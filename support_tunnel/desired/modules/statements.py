"""`assert` and `debug`: they concern the plan, so they are settled before anything is sent."""

from __future__ import annotations

import json

from support_tunnel.desired.arguments import Arguments
from support_tunnel.desired.resource import Statement

__all__ = ["read_assert", "read_debug"]


def read_assert(args: Arguments) -> Statement:
    """Raises UsageError `role.assert`; compile.py has turned each clause of `that` into true or false."""
    message = args.optional("fail_msg", "msg") or "an assertion of this role does not hold"
    args.flag("quiet", default=False)
    clauses = args.raw("that")
    if not isinstance(clauses, list):
        raise args.wrong("that", "'that' takes an expression or a list of them")
    if not all(clauses):
        raise args.at("that").wrong("role.assert", message)
    return Statement(args.optional("success_msg") or "holds")


def read_debug(args: Arguments) -> Statement:
    message = args.raw("msg")
    # Ansible prints it from so many -v on, and skips it otherwise; we have no -v.
    wordy = (args.number("verbosity") or 0) > 0
    return Statement("" if wordy else message if isinstance(message, str) else json.dumps(message), skipped=wordy)
