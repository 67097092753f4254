"""From docs/opentofu.md to OpenTofu, and from OpenTofu to Python: what is said on one side is understood on the other."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from support_tunnel.adapters.cloud_table import CLOUDS
from support_tunnel.api.postgres_link import Database
from support_tunnel.cli import paths
from support_tunnel.cli.admin.settings import load_admin_settings
from support_tunnel.cli.admin.tofu_outputs import TofuOutputs, read_tofu_outputs
from support_tunnel.core.secret import Secret
from tests.opentofu.tofu import OPENTOFU, Tofu, variables_of

PAGE = (paths.REPOSITORY / "docs" / "opentofu.md").read_text()


def example(configuration: str) -> str:
    """The variables of the page for one configuration."""
    (text,) = re.findall(rf"```hcl\n# opentofu/{configuration}/prod\.tfvars\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


def test_the_machine_is_known_by_the_name_that_it_is_deployed_to() -> None:
    (known,) = re.findall(r"`(\S+) ssh-ed25519 AAAA\.\.\.` into `~/\.ssh/known_hosts`", PAGE)
    assert set(re.findall(r"^fab api\.deploy (\S+)", PAGE, re.MULTILINE)) == {known}


@pytest.mark.parametrize("page", ["opentofu.md", "operations.md"])
def test_a_connection_string_is_typed_into_a_file_that_nobody_else_reads(page: str, tmp_path: Path) -> None:
    text = (paths.REPOSITORY / "docs" / page).read_text()
    (command,) = re.findall(r"^(\(umask [^)]*\))", text, re.MULTILINE)
    subprocess.run(
        ["sh", "-c", f"umask 022; {command}"], cwd=tmp_path, input="host=x\n", text=True, check=True, timeout=60
    )
    assert (tmp_path / "database").read_text() == "host=x\n"
    assert (tmp_path / "database").stat().st_mode & 0o777 == 0o600
    assert re.findall(r"^.*(?:echo|printf).*(?:dbname|password).*$", text, re.MULTILINE) == []


@pytest.mark.parametrize("page", ["opentofu.md", "operations.md"])
def test_a_database_that_is_told_a_password_has_to_prove_who_it_is(page: str) -> None:
    text = (paths.REPOSITORY / "docs" / page).read_text()
    strings = [
        Database(Secret(string)).options
        for string in re.findall(r"[`\n](host(?:addr)?=\S+ dbname=[^`\n]*)[`\n]", text)
        if "password=" in string
    ]
    assert len(strings) == 1
    assert {string["sslmode"] for string in strings} <= {"verify-ca", "verify-full"}
    assert all(string["sslrootcert"] for string in strings)


def complaints(tofu: Tofu, configuration: Path, tfvars: str) -> set[str]:
    """What a plan with these variables is refused for."""
    (configuration / "prod.tfvars").write_text(tfvars)
    done = tofu.run(configuration, "plan", "-var-file=prod.tfvars", "-json")
    (configuration / "prod.tfvars").unlink()
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return {one["diagnostic"]["summary"] for one in said if one["type"] == "diagnostic"}


def test_the_variables_of_the_page_are_taken(tofu: Tofu, configuration: Path) -> None:
    """Up to the point where a provider would have to work, which a stand-in does not."""
    given = example(configuration.name)
    refusal = {"This is a stand-in that knows a schema and no cloud"}
    assert complaints(tofu, configuration, given) == refusal
    assert complaints(tofu, configuration, given.replace("/32", "/0")) > {"Invalid value for variable"} - refusal
    assert "Value for undeclared variable" in complaints(tofu, configuration, given + 'colour = "red"\n')


def test_the_page_gives_every_variable_that_has_no_default(configuration: Path) -> None:
    needed = {name for name, body in variables_of(configuration.name).items() if "\n  default " not in body}
    assert needed <= set(re.findall(r"^(\w+) +=", example(configuration.name), re.MULTILINE))


@pytest.fixture
def made(tofu: Tofu, configuration: Path, tmp_path: Path) -> TofuOutputs:
    """What a real `tofu output -json` writes of the configuration's own outputs, with a word in place of each thing it would make."""
    outputs = (OPENTOFU / configuration.name / "outputs.tf").read_text()
    alone = tmp_path / "alone"
    alone.mkdir()
    known = outputs.replace("${var.domain}", "support.example.org")
    in_text = re.sub(r"\$\{[\w.]+\}", "a-word", known)
    (alone / "outputs.tf").write_text(re.sub(r"(?<![\w.\"])(?:module|local|var|\w+_\w+)\.[\w.]+", '"a-word"', in_text))
    done = tofu.run(alone, "apply", "-auto-approve", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "prod.tofu.json").write_text(tofu.run(alone, "output", "-json").stdout)
    read = read_tofu_outputs(tmp_path)
    assert read is not None
    return read


def test_python_reads_what_tofu_writes(made: TofuOutputs, tmp_path: Path) -> None:
    (tmp_path / "all.yml").write_text("support_tunnel: {cloud: local}\n")
    settings = load_admin_settings({"SUPPORT_TUNNEL_INVENTORY": str(tmp_path / "all.yml")})
    assert settings.api == "https://support.example.org"
    assert settings.cloud in settings.clouds
    assert made.api_host is not None
    assert made.api_host.domain == "a-word"


def test_a_cloud_gets_only_settings_that_its_row_knows(made: TofuOutputs) -> None:
    clouds = made.settings["clouds"]
    assert isinstance(clouds, dict)
    assert clouds
    for name, settings in clouds.items():
        assert name in CLOUDS
        assert set(settings) <= {setting.name for setting in CLOUDS[name].settings}
