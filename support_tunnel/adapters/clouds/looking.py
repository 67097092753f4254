"""How a cloud is asked whether something is there or allowed, when all that there is to see is how a request fails."""

from __future__ import annotations

from collections.abc import Callable

from support_tunnel.adapters.cloud_failure import classify
from support_tunnel.core.cloud_health import judge_right
from support_tunnel.core.device_health import Check

__all__ = ["NOT_TOLD", "ends_nothing", "may_read", "there"]

NOT_TOLD = "the cloud tells it only of a server that is really made"


def there(ask: Callable[[], object]) -> bool:
    """Whether what is asked for exists. Raises what says neither."""
    try:
        ask()
    except Exception as error:  # drivers raise bare ones too; all but an absence goes on up
        if classify(error) != "gone":
            raise
        return False
    return True


def may_read(right: str, ask: Callable[[], object]) -> Check:
    """`ask` reads what only this right lets one read; that it is not there was seen with the right."""
    try:
        there(ask)
    except Exception as error:  # drivers raise bare ones too; all but a refusal goes on up
        if classify(error) != "forbidden":
            raise
        return judge_right(right, held=False)
    return judge_right(right, held=True)


def ends_nothing(right: str, ask: Callable[[], object]) -> Check:
    """`ask` ends something that cannot exist. A refusal proves that the right is missing; "not there" proves nothing, because a
    cloud may look for the thing before it looks at rights."""
    if may_read(right, ask).state == "fail":
        return judge_right(right, held=False)
    return judge_right(right, None, NOT_TOLD)
