"""Puts a script together. All of it is one function that is called on its last line, so a truncated script does nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources

from support_tunnel.core.secret import Secret
from support_tunnel.desired.resource import Resource
from support_tunnel.desired.shell import Code, body, call, comment, function, lines

__all__ = ["assemble", "settings", "step", "together"]


def settings(*, check: bool, journal: str | None, run_folder: str) -> Code:
    """What the libraries read."""
    values = {"st_check": "yes" if check else "", "st_journal": journal or "", "st_run_folder": run_folder}
    return together(Code(f"{name}={call(value).text}") for name, value in values.items())


def assemble(settings: Code, libraries: Sequence[str], parts: Iterable[Code]) -> Secret[str]:
    texts = [Code(resources.files("support_tunnel.desired").joinpath(name).read_text().rstrip()) for name in libraries]
    whole = together([settings, *texts, *parts])
    # stdin is the script itself: a command that reads it would swallow the rest
    return Secret(lines([function("main", whole), call("main", Code("</dev/null"))]))


def step(number: int, resource: Resource, handlers: Sequence[str], *, where: str, journal: bool, diff: bool) -> Code:
    """Define what `st_step` calls, then call it."""
    data = resource.body()
    shows = {"before": resource.show(), "after": resource.preview()} if diff else {}
    shown = {name: code for name, code in shows.items() if code is not None}
    parts = [
        comment(where),
        *([function("st_body", body(data))] if data is not None else []),
        function("st_check_it", resource.check()),
        function("st_fix", resource.fix()),
        *([function("st_record", resource.record())] if journal else []),
        *(function(f"st_{name}", code) for name, code in shown.items()),
        Code(f"st_shows={call(' '.join(shown)).text}"),
        call("st_step", number, resource.reports(), resource.in_check_mode(), *handlers),
    ]
    return together(parts)


def together(codes: Iterable[Code]) -> Code:
    return Code("\n".join(code.text for code in codes))
