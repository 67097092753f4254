"""`lineinfile` with `regexp` and `line`: the last line that matches is replaced, or the line is added at the end.

The expression runs on the host as a POSIX extended one; what Python's `re` and POSIX would read differently is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from support_tunnel.desired.arguments import Arguments
from support_tunnel.desired.modules.files import owner_and_group
from support_tunnel.desired.resource import Resource, key
from support_tunnel.desired.shell import Code, call

__all__ = ["LineInFile", "extended", "read_lineinfile"]

CLASSES = {r"\s": "[[:space:]]", r"\S": "[^[:space:]]", r"\d": "[0-9]", r"\w": "[[:alnum:]_]"}
TOKEN = re.compile(
    r"\\[sSdw]|\\[^A-Za-z0-9]|\[\^?[^\]\[\\]+\]|\((?!\?)|[)|.^$]|[*+?](?![*+?])|\{\d+(?:,\d*)?\}|[^\\\[\](){}|.^$*+?\n]"
)


@dataclass(frozen=True, slots=True)
class LineInFile(Resource):
    path: str
    expression: str
    line: str
    create: bool
    mode: str
    owner: str
    group: str

    def check(self) -> Code:
        return call("st_line_holds", self.path, self.mode, self.owner, self.group, self.expression)

    def fix(self) -> Code:
        return call(
            "st_line", self.path, self.mode, self.owner, self.group, self.expression, "create" if self.create else ""
        )

    def record(self) -> Code:
        return call("st_record_path", key("path", self.path), self.path)

    def body(self) -> bytes:
        return self.line.encode()

    def show(self) -> Code:
        return call("cat", "--", self.path)

    def preview(self) -> Code:
        return call("st_lined", self.path, self.expression)


def extended(pattern: str) -> str | None:
    """Translate a Python expression, or None when POSIX cannot say the same."""
    position, parts = 0, []
    while position < len(pattern):
        token = TOKEN.match(pattern, position)
        if token is None:
            return None
        parts.append(CLASSES.get(token[0], token[0]))
        position = token.end()
    try:
        re.compile(pattern)
    except re.error:
        return None
    return "".join(parts)


def read_lineinfile(args: Arguments) -> Resource:
    path = args.path("path", "dest", "destfile", "name")
    pattern, line = args.public("regexp", "regex"), args.optional("line", "value")
    if pattern is None or line is None:
        raise args.at("path").unsupported("module 'lineinfile' without 'regexp' and 'line'")
    if "\n" in line:
        raise args.wrong("line", "'line' must be one line")
    expression = extended(pattern)
    if expression is None:
        raise args.at("regexp").unsupported(f"the expression {pattern!r} of module 'lineinfile'")
    args.choice("state", ("present",), "present")
    create = args.flag("create", default=False)
    mode = args.mode(required=create) or ""
    return LineInFile(path, expression, line, create, mode, *owner_and_group(args))
