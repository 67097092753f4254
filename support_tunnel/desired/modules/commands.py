"""`command` and `shell`, only where it can be said when they change something: `creates`, `removes` or `changed_when`."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Literal

from support_tunnel.desired.arguments import Arguments
from support_tunnel.desired.resource import BODY, Resource
from support_tunnel.desired.shell import FALSE, TRUE, Code, all_of, any_of, call, negate, pipe

__all__ = ["Command", "read_command", "read_shell"]

FREE_FORM = "_raw_params"
INLINE = re.compile(r"(^|\s)(creates|removes|chdir|executable|stdin|stdin_add_newline|strip_empty_ends|warn|argv|cmd)=")


@dataclass(frozen=True, slots=True)
class Command(Resource):
    """A command. Only one that changes nothing may stand in a role that can be undone (compile.py sees to it)."""

    run: Code
    creates: str | None
    removes: str | None
    changes: bool
    stdin: str | None

    def check(self) -> Code:
        if self.creates is None and self.removes is None:
            return FALSE
        return any_of(
            call("test", "-e", self.creates) if self.creates else FALSE,
            negate(call("test", "-e", self.removes)) if self.removes else FALSE,
        )

    def fix(self) -> Code:
        return pipe(BODY, self.run) if self.stdin is not None else self.run

    def undoable(self) -> bool:
        return not self.changes

    def record(self) -> Code:
        return TRUE  # undoable() lets only commands pass that change nothing

    def body(self) -> bytes | None:
        return None if self.stdin is None else self.stdin.encode()

    def reports(self) -> Literal["changed", "ok"]:
        return "changed" if self.changes else "ok"

    def in_check_mode(self) -> Literal["changed", "ok", "skipped"]:
        if self.creates is None and self.removes is None:
            return "skipped"
        return self.reports()


def read_command(args: Arguments) -> Resource:
    args.keep_public("argv")
    argv = args.texts("argv") if isinstance(args.raw("argv"), list) else None
    text = args.public("cmd", FREE_FORM)
    if (argv is None) == (text is None):
        raise args.wrong("cmd", "give either one command line or 'argv'")
    try:
        words = argv if argv is not None else tuple(shlex.split(text or ""))
    except ValueError as error:
        raise args.wrong("cmd", f"this command line cannot be split: {error}") from None
    if args.flag("expand_argument_vars", default=True) and any("$" in word or word.startswith("~") for word in words):
        raise args.at("cmd").unsupported(
            "'$' or '~' in module 'command' (say 'expand_argument_vars: false' to mean them literally)"
        )
    return _command(args, call("st_run", *words), text)


def read_shell(args: Arguments) -> Resource:
    text = args.public("cmd", FREE_FORM)
    if text is None:
        raise args.wrong("cmd", "a command line is required")
    return _command(args, call("st_eval", text), text)


def _command(args: Arguments, run: Code, text: str | None) -> Command:
    if text is not None and INLINE.search(text):
        raise args.at("cmd").unsupported(f"an argument inside the command line of module '{args.module}'")
    creates, removes = args.optional("creates"), args.optional("removes")
    for name, path in (("creates", creates), ("removes", removes)):
        if path is not None and (not path.startswith("/") or set(path) & set("*?[")):
            raise args.wrong(name, f"'{name}' must be an absolute path without patterns")
    if creates is None and removes is None and args.changed_when is None:
        raise args.at("cmd").unsupported(f"module '{args.module}' without 'creates', 'removes' or 'changed_when'")
    stdin = args.optional("stdin")
    if stdin is not None and args.flag("stdin_add_newline", default=True):
        stdin += "\n"
    folder = args.optional("chdir")
    if folder is not None:
        run = all_of(call("cd", "--", folder), run)
    return Command(run, creates, removes, args.changed_when is not False, stdin)
