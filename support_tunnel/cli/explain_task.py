"""`explain CODE`, on both sides: what an error means and what to do, without looking for the page."""

from __future__ import annotations

from difflib import get_close_matches

from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.called import as_called
from support_tunnel.cli.explanations import explanations
from support_tunnel.cli.output import emit, line
from support_tunnel.core.errors import UsageError

__all__ = ["explain"]


@verb(
    positional=("code",),
    flags={"code": "such as cloud.auth, as it stands in an error", "json": "one line of JSON, for programs"},
)
def explain(c: Context, code: str, json: bool = False) -> None:
    """Explain an error by its code.

    What it means, and what to do.
    """
    known = explanations()
    wanted = code.strip("(): ").lower()
    if wanted not in known:
        near = get_close_matches(wanted, known, n=3, cutoff=0.5)
        raise UsageError(
            "usage.code",
            f"no error has the code {code!r}",
            next_step=f"Did you mean {' or '.join(near)}?" if near else "It stands in brackets after `Error`.",
        )
    said = known[wanted]
    if json:
        emit({"code": wanted, "meaning": said.meaning, "what_to_do": said.step})
    else:
        line(f"{wanted}: {as_called(said.meaning)}")
        line(f"  -> {as_called(said.step)}")
