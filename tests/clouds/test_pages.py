"""A list in pages: whole, or no list."""

from __future__ import annotations

import pytest
from libcloud.common.types import MalformedResponseError

from support_tunnel.adapters.cloud_failure import classify
from support_tunnel.adapters.clouds.pages import Page, whole


def read(pages: dict[int, Page]) -> list[int]:
    return whole(pages.__getitem__, 1)


def test_all_pages_in_their_order() -> None:
    assert read({1: Page([])}) == []
    assert read({1: Page([1, 2], 2), 2: Page([3, 4], 3), 3: Page([5])}) == [1, 2, 3, 4, 5]
    assert read({1: Page([1, 2], 2, 3), 2: Page([3], None, 3)}) == [1, 2, 3]


@pytest.mark.parametrize(
    "pages",
    [
        {1: Page([1, 2], 2, 4), 2: Page([4], None, 3)},  # the third moved to the first page, which was read already
        {1: Page([1, 2], 2, 4), 2: Page([3], None, 4)},
        {1: Page([1, 2], 2, 3), 2: Page([2, 3], None, 3)},
        {1: Page([1], 1)},
        {1: Page([1], 2), 2: Page([2], 1)},
        {1: Page([1], 2), 2: Page([2], 3), 3: Page([3], 2)},
    ],
    ids=["one went", "one is missing", "one came twice", "the same again", "back to the first", "back to another"],
)
def test_what_is_not_whole_is_no_list_and_passes_by_itself(pages: dict[int, Page]) -> None:
    with pytest.raises(MalformedResponseError) as failed:
        read(pages)
    assert classify(failed.value) == "retry"
