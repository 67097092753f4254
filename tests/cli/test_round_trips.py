"""Settings survive their files (P12): what our roles and commands write is what our parsers read, for any value."""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support_tunnel.cli import paths
from support_tunnel.cli.admin.settings import AdminSettings, load_admin_settings
from support_tunnel.cli.admin.settings_shown import shown
from support_tunnel.cli.device.settings import DeviceSettings, load_device_settings, load_policy
from support_tunnel.core import ssh_key
from support_tunnel.core.consent import PolicyRule
from support_tunnel.core.errors import UsageError
from support_tunnel.core.hooks import MOMENTS, HookCommand
from support_tunnel.core.scope import Scope
from support_tunnel.desired import compile_roles

LIBRARY = paths.library()
SIGNER = ssh_key.new_keypair()[1]
LINE = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=30).map(str.strip)
"""One line as people type it; a file of lines cannot keep the blanks around one."""
WORD = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="{}"), min_size=1, max_size=12)
RULES = st.lists(st.tuples(st.sampled_from(["view", "shell", "root"]), st.integers(1, 1440)), max_size=3)
SCRIPTS = st.dictionaries(st.sampled_from(MOMENTS), st.lists(WORD, max_size=3), max_size=4)


def written(variables: Mapping[str, Any]) -> Iterator[str]:
    """The texts that the role `device_settings` writes into files."""
    plan = compile_roles(LIBRARY.roles, ["device_settings"], variables, templates=LIBRARY.templates)
    for found in re.findall(r"[A-Za-z0-9+/]{8,}={0,2}", plan.script.reveal()):
        try:
            yield base64.b64decode(found, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue


def read_back(folder: Path, variables: Mapping[str, Any]) -> tuple[DeviceSettings, tuple[PolicyRule, ...]]:
    for text in written(variables):
        for start, name in (("[device]\n", "config.ini"), ("# Whoever signs", "policy.toml")):
            if text.startswith(start):
                (folder / name).write_text(text)
                (folder / name).chmod(0o600)
    policy = load_policy(policy=folder / "policy.toml")
    (folder / "policy.toml").unlink(missing_ok=True)
    return load_device_settings({}, config=folder / "config.ini"), policy.rules if policy else ()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=LINE, fingerprint=LINE, debug=st.booleans(), rules=RULES, scripts=SCRIPTS)
def test_p12_what_is_installed_on_a_device_is_what_it_reads(
    tmp_path: Path, name: str, fingerprint: str, debug: bool, rules: list[Any], scripts: dict[str, list[str]]
) -> None:
    commands = {moment: ["/bin/true", *words] for moment, words in scripts.items()}
    found, policy = read_back(
        tmp_path,
        {
            "device_settings_api": "https://a.example:8443",
            "device_settings_api_fingerprint": fingerprint,
            "device_settings_name": name,
            "device_settings_debug": debug,
            "device_settings_scripts": [
                {"moment": moment, "command": shlex.join(words)} for moment, words in commands.items()
            ],
            "device_settings_consent": [
                {"signer": SIGNER, "scope": level, "max_ttl_minutes": minutes} for level, minutes in rules
            ],
        },
    )
    assert (found.api, found.api_fingerprint, found.debug) == ("https://a.example:8443", fingerprint, debug)
    assert found.name == name or not name
    assert found.hooks == {moment: HookCommand(tuple(words)) for moment, words in commands.items()}
    assert policy == tuple(PolicyRule(SIGNER, Scope(level), minutes) for level, minutes in rules)


def is_text(spec: Mapping[str, Any]) -> bool:
    return spec["type"] == "str" and "choices" not in spec


def row(options: Mapping[str, Any], key: str, text: str) -> list[dict[str, object]]:
    return [{name: one.get("choices", [1])[0] for name, one in options.items()} | {key: text}]


def texts_of(options: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[str], object]]]:
    """Each variable that holds free text, and what makes a value of it that is that text, or holds it."""
    for name, spec in options.items():
        if is_text(spec):
            yield name, str
        elif spec.get("elements") == "str":
            yield name, lambda text: ["one line", text]
        for key, one in spec.get("options", {}).items():
            if is_text(one):
                yield f"{name}/{key}", partial(row, spec["options"], key)


SPECS = yaml.safe_load((LIBRARY.roles / "device_settings/meta/argument_specs.yml").read_text())
FREE = dict(texts_of(SPECS["argument_specs"]["main"]["options"]))
WHOLE = {
    "device_settings_api": "https://a.example:8443",
    "device_settings_org_ca": "/etc/support_tunnel/org-ca.pub",
    "device_settings_revoked": "/etc/support_tunnel/revoked",
}


def test_the_texts_of_the_specs_are_found() -> None:
    assert {"device_settings_proxy", "device_settings_org_ca_keys", "device_settings_scripts/command"} <= set(FREE)


@pytest.mark.parametrize("added", ["\nname = x", "\rname = x", "\u2028name = x", "\n"])
@pytest.mark.parametrize("free", FREE)
def test_a_value_that_would_add_a_key_or_a_line_is_refused(free: str, added: str) -> None:
    variable = free.split("/")[0]
    assert list(written(WHOLE | {variable: FREE[free]("/bin/true x")}))
    with pytest.raises(UsageError, match="more than one line"):
        list(written(WHOLE | {variable: FREE[free](f"/bin/true x{added}")}))


TEXTS = [name for name, kind in AdminSettings.__annotations__.items() if kind == "str"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.fixed_dictionaries({name: LINE for name in TEXTS}),
    most=st.integers(30, 1440),
    refuse=st.booleans(),
    clouds=st.dictionaries(WORD, st.dictionaries(WORD, LINE, max_size=2), min_size=1, max_size=2),
)
def test_p12_an_inventory_is_what_was_written_into_it(
    tmp_path: Path, texts: dict[str, str], most: int, refuse: bool, clouds: dict[str, dict[str, str]]
) -> None:
    wanted = AdminSettings(**texts, tunnel_minutes_most=most, refuse_code_on_argv=refuse, clouds=clouds)  # type: ignore[arg-type]  # by TEXTS
    inventory = tmp_path / "all.yml"
    inventory.write_text(yaml.safe_dump({"support_tunnel": asdict(wanted)}, allow_unicode=True))
    assert load_admin_settings({"SUPPORT_TUNNEL_INVENTORY": str(inventory)}) == wanted


def test_p12_the_settings_that_are_shown_can_be_an_inventory(tmp_path: Path) -> None:
    """None of these is a secret, so none is hidden."""
    wanted = AdminSettings(api="https://a.example:8443", name="Ann", refuse_code_on_argv=True, clouds={"local": {}})
    inventory = tmp_path / "all.yml"
    inventory.write_text(yaml.safe_dump({"support_tunnel": {row.name: row.value for row in shown(wanted, {})}}))
    assert load_admin_settings({"SUPPORT_TUNNEL_INVENTORY": str(inventory)}) == wanted
