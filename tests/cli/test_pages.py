"""What the pages show is taken by the program, and their links lead somewhere."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from support_tunnel.cli import paths
from support_tunnel.cli.device import settings as device_settings

DOCS = paths.REPOSITORY / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), paths.REPOSITORY / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_every_page_is_named_by_another() -> None:
    texts = {page: page.read_text() for page in PAGES}
    pages = [
        page for page in DOCS.glob("*.md") if not any(page.name in texts[other] for other in PAGES if other != page)
    ]
    assert pages == []


def test_the_owners_page_shows_every_setting(tmp_path: Path) -> None:
    (text,) = re.findall(r"```ini\n(.*?)```", (DOCS / "device.md").read_text(), re.DOTALL)
    file = tmp_path / "config.ini"
    file.write_text(text)
    file.chmod(0o644)
    settings = device_settings.load_device_settings({}, config=file)
    assert (settings.proxy, settings.max_sessions) == ("http://till@proxy.shop.example:3128", 1)
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    assert set(parser["device"]) == set(device_settings._KEYS)
