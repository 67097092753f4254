"""An error's code is explained where it is met: under the error, and by `explain`, from the page that is shipped."""

from __future__ import annotations

import json
import re

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from support_tunnel.cli import paths
from support_tunnel.cli.boundary import boundary
from support_tunnel.cli.explain_task import explain
from support_tunnel.cli.explanations import explanations
from support_tunnel.core.errors import SupportTunnelError, UsageError
from tests.core.error_codes import codes


def said(error: SupportTunnelError, capsys: pytest.CaptureFixture[str], **flags: bool) -> tuple[str, str]:
    def fails(json: bool = False) -> None:
        raise error

    with pytest.raises(Exit):
        boundary(fails)(**flags)
    return capsys.readouterr()


def test_every_code_is_explained_by_itself() -> None:
    known = explanations()
    assert known.keys() == codes().keys()
    leaning = {code: one for code, one in known.items() if re.search(r"\b(as|see) (above|below|named)$", one.step)}
    assert leaning == {}, "shown alone, a row must not point to another"
    assert not [one for one in known.values() if "](" in one.step + one.meaning]


def test_an_error_without_a_step_of_its_own_gets_the_pages(capsys: pytest.CaptureFixture[str]) -> None:
    _, err = said(UsageError("usage.domain", "--domain is no host name"), capsys)
    step = explanations()["usage.domain"].step
    assert err == f"Error (usage.domain): --domain is no host name.\n  -> {step[0].upper()}{step[1:]}.\n"
    out, _ = said(UsageError("usage.domain", "--domain is no host name"), capsys, json=True)
    assert json.loads(out)["error"]["next_step"].lower() == f"{step}.".lower()


def test_an_errors_own_step_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    _, err = said(UsageError("usage.domain", "no host name", next_step="Do this."), capsys)
    assert err.endswith("\n  -> Do this.\n")


def test_a_code_that_no_page_knows_is_still_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(UsageError("made.up", "odd"), capsys)[1] == "Error (made.up): odd.\n"


@pytest.mark.parametrize("typed", ["cloud.auth", "(cloud.auth):", " Cloud.Auth "])
def test_explain(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    explain(Context(), typed)
    known = explanations()["cloud.auth"]
    assert capsys.readouterr().out == f"cloud.auth: {known.meaning}\n  -> {known.step}\n"
    explain(Context(), typed, json=True)
    out = json.loads(capsys.readouterr().out)
    assert out == {"code": "cloud.auth", "meaning": known.meaning, "what_to_do": known.step}


def test_explain_names_codes_that_are_near(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as ended:
        explain(Context(), "cloud.atuh")
    assert ended.value.code == 2
    assert "Did you mean cloud.auth" in capsys.readouterr().err


def test_the_page_is_shipped_and_written_once() -> None:
    assert paths.TROUBLESHOOTING.resolve() == paths.REPOSITORY / "docs" / "troubleshooting.md"
