"""docs/clouds: a page for each cloud, of one shape, that says what its row says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.adapters.cloud_table import CLOUDS, CloudRow
from support_tunnel.adapters.clouds.told import OF_EVERY_CLOUD, check
from support_tunnel.cli import paths
from support_tunnel.cli.admin.settings import load_admin_settings
from support_tunnel.core.spending import parse_dollars
from tests.adapters.memory_cloud import SPEC

FOLDER = paths.REPOSITORY / "docs" / "clouds"
SECTIONS = ["Credentials", "Inventory", "What a session costs", "Limits", "What was shown"]
REMOTE = sorted(name for name in CLOUDS if name not in ("local", "static"))
"""Those that launch servers, for money."""


def sections(name: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)\n", (FOLDER / f"{name}.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def inventory(name: str, tmp_path: Path) -> dict[str, Any]:
    """The settings of the page's inventory, as the program reads them."""
    (text,) = re.findall(r"```yaml\n(.*?)```", sections(name)["Inventory"], re.DOTALL)
    file = tmp_path / "all.yml"
    file.write_text(text)
    settings = load_admin_settings({"SUPPORT_TUNNEL_INVENTORY": str(file)})
    assert settings.cloud == name
    assert list(settings.clouds) == [name]
    return dict(settings.clouds[name])


def table(row: CloudRow) -> list[str]:
    found = ["| setting | | what it is |", "|---|---|---|"]
    for one in (*row.settings, *OF_EVERY_CLOUD):
        said = (
            "needed" if one.needed else "",
            "secret" if one.secret else "",
            f"`{one.default}`" if one.default else "",
        )
        found.append(f"| `{one.name}` | {', '.join(word for word in said if word)} | {one.meaning} |")
    return found


def test_every_cloud_has_its_page_and_the_overview_leads_there() -> None:
    assert {page.stem for page in FOLDER.glob("*.md")} == set(CLOUDS)
    overview = (FOLDER.parent / "clouds.md").read_text()
    assert set(re.findall(r"^\| \[`(\w+)`\]\(clouds/\1\.md\) \|", overview, re.MULTILINE)) == set(CLOUDS)


@pytest.mark.parametrize("name", sorted(CLOUDS))
def test_all_pages_have_one_shape(name: str) -> None:
    assert list(sections(name)) == SECTIONS
    assert re.match(r"\d\. ", sections(name)["Credentials"].strip())


@pytest.mark.parametrize("name", sorted(CLOUDS))
def test_its_table_is_the_rows_settings(name: str) -> None:
    shown = [line for line in sections(name)["Inventory"].splitlines() if line.startswith("|")]
    assert shown == table(CLOUDS[name]), "\n".join(table(CLOUDS[name]))


@pytest.mark.parametrize("name", sorted(CLOUDS))
def test_its_inventory_is_taken(name: str, tmp_path: Path) -> None:
    given = inventory(name, tmp_path)
    check(CLOUDS[name], given, f"support_tunnel/clouds/{name}")
    if given.get("hourly"):
        parse_dollars(str(given["hourly"]), "hourly")


@pytest.mark.parametrize("name", REMOTE)
def test_it_tells_the_limits_of_the_row(name: str) -> None:
    row, told = CLOUDS[name], sections(name)
    assert f"- User-data: {row.user_data_limit} bytes" in told["Limits"]
    assert row.console in told["Limits"] or name == "openstack"
    assert ("full price" in told["Limits"] or "billed" in told["Limits"]) == row.billed_when_off
    for word in re.findall(r"maxRunDuration|InstanceInitiatedShutdownBehavior=terminate", row.ends_itself):
        assert word in told["Limits"]
    assert row.sizes["small"] in (FOLDER / f"{name}.md").read_text()
    (file,) = set(re.findall(r"opentofu/permissions/([a-z0-9]+\.\w+)", told["Credentials"]))
    listed = (paths.REPOSITORY / "opentofu" / "permissions" / file).read_text()
    assert file == "tokens.yaml" or file.startswith(name)
    assert name in listed if file == "tokens.yaml" else listed


@pytest.mark.parametrize("name", REMOTE)
def test_it_says_that_nothing_was_shown_on_a_real_account(name: str) -> None:
    assert "Not shown:" in sections(name)["What was shown"]


@pytest.mark.parametrize("name", REMOTE)
def test_its_example_of_a_price_is_right(name: str, tmp_path: Path) -> None:
    """By libcloud's list where the row goes by that, with the list's date; else by a price that the page gives, which is none of ours."""
    told = sections(name)["What a session costs"]
    given = check(CLOUDS[name], inventory(name, tmp_path), "x")
    by_seconds = re.search(r"([\d.]+) × \((\d+) \+ (\d+)\) / 60 = ([\d.]+)", told)
    if name in ("ec2", "gce", "azure"):
        assert by_seconds is not None
        assert float(by_seconds[1]) == pytest.approx(CLOUDS[name].hourly(None, SPEC, given), rel=0.01)
        updated = json.loads(files("libcloud").joinpath("data/pricing.json").read_text())["updated"]
        assert re.findall(r"list of ([\d-]+)", told) == [str(datetime.fromtimestamp(updated, UTC).date())]
    if by_seconds is not None:
        price, minutes, boot, session = (float(number) for number in by_seconds.groups())
        assert (minutes, boot) == (30, CLOUDS[name].boot_seconds / 60)
        assert session == pytest.approx(price * (minutes + boot) / 60, abs=0.00006)
    else:
        assert "Each started hour is billed whole" in told
        (price, session) = re.findall(r"at ([\d.]+) an hour a session of half an hour is ([\d.]+)", told)[0]
        assert price == session.rstrip(".")
