"""`fab cost`: what runs now and what the month costs, as an estimate. Nothing is changed by it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.output import emit, line, table
from support_tunnel.core.errors import CloudError

__all__ = ["cost"]

_FORKS = 16
"""Clouds that are asked at the same time."""


@verb(flags={"json": "one line of JSON, for programs"})
def cost(c: Context, json: bool = False) -> None:
    """Estimate what tunnel servers cost: now, and in your month so far.

    Now: those that run on every cloud of the inventory.
    """
    from support_tunnel.adapters.at_once import at_once
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports
    from support_tunnel.flows.admin.spending import cost as flow

    chosen = load_admin_settings(os.environ)
    found = flow(admin_ports(chosen), partial(at_once, forks=_FORKS))
    hourly = sum(one.hourly or 0.0 for one in found.running)
    if json:
        emit(
            {
                "running": [
                    {
                        "cloud": one.cloud,
                        "server": one.server.name,
                        "owner": one.server.tags.get("st-owner", ""),
                        "until": _until(one.server.tags),
                        "hourly": one.hourly,
                    }
                    for one in found.running
                ],
                "hourly": round(hourly, 4),
                "month": {"dollars": round(found.month.dollars, 4), "unpriced": found.month.unpriced},
                "spend_cap": chosen.spend_cap,
                "failed": [list(pair) for pair in found.failed],
            }
        )
    else:
        rows = [
            (
                one.cloud,
                one.server.name,
                one.server.tags.get("st-owner", ""),
                _clock(one.server.tags),
                _dollars(one.hourly),
            )
            for one in found.running
        ]
        if rows:
            table(("CLOUD", "SERVER", "OWNER", "UNTIL", "USD/HOUR"), rows)
        line(f"running now: {len(rows)}, about {hourly:.3f} US dollars an hour")
        cap = "" if chosen.spend_cap is None else f" of {chosen.spend_cap:.2f} (spend_cap)"
        line(f"your servers this month: about {found.month.dollars:.2f} US dollars{cap}")
        if found.month.unpriced:
            sys.stderr.write(
                f"{found.month.unpriced} of them are not in it: no price is known. Set clouds/NAME/hourly in the inventory.\n"
            )
    if found.failed:
        what = "; ".join(f"{name}: {why}" for name, why in found.failed)
        raise CloudError(
            "cost.part", f"not every cloud could be asked: {what}", next_step="Run `fab doctor`, then this again."
        )


def _until(tags: Mapping[str, str]) -> datetime | None:
    expires = tags.get("st-expires", "")
    try:
        return datetime.fromtimestamp(int(expires), UTC)
    except (ValueError, OverflowError, OSError):
        return None  # somebody wrote it who is not us


def _clock(tags: Mapping[str, str]) -> str:
    until = _until(tags)
    return f"{until.astimezone():%Y-%m-%d %H:%M}" if until else "?"


def _dollars(hourly: float | None) -> str:
    return "?" if hourly is None else f"{hourly:.4f}"
