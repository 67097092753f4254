"""opentofu/ as a real OpenTofu sees it: well written, valid by each provider's own schema, and what it promises when played with mocks."""

from __future__ import annotations

import re
from pathlib import Path

from tests.opentofu.tofu import CONFIGURATIONS, OPENTOFU, Tofu, schema_of


def test_every_file_is_written_as_tofu_fmt_writes_it(tofu: Tofu, tmp_path: Path) -> None:
    done = tofu.run(OPENTOFU, "fmt", "-check", "-recursive", "-diff", "-no-color")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    (tmp_path / "sloppy.tf").write_text("locals{\n a=1\n   b = 2\n}\n")
    assert tofu.run(tmp_path, "fmt", "-check", "-recursive").returncode != 0


def test_every_resource_argument_and_block_is_one_that_the_provider_knows(tofu: Tofu, configuration: Path) -> None:
    assert tofu.complaints(configuration) == []


def test_what_the_configuration_promises_holds_when_it_is_played_with_mocks(tofu: Tofu, configuration: Path) -> None:
    done = tofu.run(configuration, "test", "-no-color")
    runs = sum(
        len(re.findall(r"^run ", file.read_text(), flags=re.MULTILINE)) for file in configuration.rglob("*.tftest.hcl")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Success! {runs} passed, 0 failed." in done.stdout
    assert runs >= 7


def test_the_version_that_is_pinned_is_the_one_whose_schema_is_known() -> None:
    for configuration, provider in zip(CONFIGURATIONS, ("digitalocean", "google"), strict=True):
        pinned = re.findall(
            r'^ +version = "([\d.]+)"$', (OPENTOFU / configuration / "versions.tf").read_text(), re.MULTILINE
        )
        assert pinned == [schema_of(provider)["source"]["provider_version"]]


def test_every_part_waits_until_googles_services_are_turned_on() -> None:
    """In a new project nothing else works: not an address, not an account."""
    text = (OPENTOFU / "gcp" / "main.tf").read_text()
    parts = re.findall(r'^module "(\w+)" {\n(.*?)^}', text, re.MULTILINE | re.DOTALL)
    assert len(parts) == len(list((OPENTOFU / "gcp" / "modules").iterdir()))
    assert [name for name, body in parts if "  depends_on = [google_project_service.needed" not in body] == []
    outside = re.findall(r'^(?:resource|data) "(\w+)"', text, re.MULTILINE)
    assert outside == ["google_project_service"]
    (services,) = re.findall(r"for_each = toset\(\[(.*)\]\)", text)
    assert {"cloudresourcemanager", "iamcredentials"} <= set(re.findall(r'"(\w+)"', services))


def test_every_variable_and_output_is_described() -> None:
    blocks = [
        (file, name, body)
        for file in sorted(OPENTOFU.rglob("*.tf"))
        for _, name, body in re.findall(
            r'^(variable|output) "(\w+)" {\n(.*?)^}', file.read_text(), re.MULTILINE | re.DOTALL
        )
    ]
    assert len(blocks) > 30
    assert [
        f"{file}: {name}" for file, name, body in blocks if not re.search(r'^  description = "\S', body, re.MULTILINE)
    ] == []


def test_no_secret_can_reach_a_state_or_an_output() -> None:
    """No password, private key or token is an argument anywhere, so none is in a state either."""
    text = "\n".join(file.read_text() for file in sorted(OPENTOFU.rglob("*.tf")))
    assert re.findall(r"^ *(?:\w*password\w*|private_key|token|secret\w*|credentials) *=", text, re.MULTILINE) == []
    assert (
        re.findall(
            r'^resource "(?:google_service_account_key|tls_private_key|random_password|google_sql_user)"',
            text,
            re.MULTILINE,
        )
        == []
    )
    assert "sensitive" not in text
