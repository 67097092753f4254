"""The flags of who answers a code, and what of the inventory names a standing server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from invoke.parser import Parser

from support_tunnel.cli.admin.answering import Asked, _helper, answer
from support_tunnel.cli.admin.settings import AdminSettings
from support_tunnel.cli.admin.tasks import namespace
from support_tunnel.cli.admin.wiring_standing import standing_server
from support_tunnel.core import ssh_key
from support_tunnel.core.errors import UsageError
from support_tunnel.core.private_authority import as_der, vouch_for
from support_tunnel.testing.clock import START

PUBLIC = ssh_key.new_keypair("hana")[1]
SET = {
    "headscale_server": "https://hs.example",
    "headscale_authority": "file:/nowhere",
    "headscale_key": "env:HEADSCALE_KEY",
}


def test_a_helper_is_a_name_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "hana.pub"
    file.write_text(f"{PUBLIC} hana@laptop\n")
    helper = _helper(f"Hana Example={file}")
    assert (helper.name, helper.key) == ("Hana Example", " ".join(PUBLIC.split()[:2]))


def test_a_name_alone_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".config" / "support_tunnel" / "helpers"
    folder.mkdir(parents=True)
    (folder / "hana.pub").write_text(PUBLIC)
    assert _helper("hana").name == "hana"


@pytest.mark.parametrize(
    "content", [None, "", "-----BEGIN OPENSSH PRIVATE KEY-----", f"{PUBLIC}\n{PUBLIC}", "\x00\xff"]
)
def test_what_is_no_public_key_is_refused_by_name(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError) as refused:
        _helper(f"Hana={file}")
    assert refused.value.code in ("helper.key", "key.login")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"server": "cloud"}, "usage.server"),
        ({"server": "standing", "cloud": "local"}, "usage.server"),
        ({"cloud": "loca1"}, "config.cloud"),
        ({"port": ["http"]}, "port.value"),
        ({"port": ["70000"]}, "port.value"),
        ({"minutes": -1}, "usage.range"),
        ({"wait": 4}, "usage.range"),
        ({"helper": ["Hana=/nowhere.pub"]}, "helper.key"),
    ],
)
def test_wrong_flags_are_refused_before_the_code_is_asked_for(changes: dict[str, object], code: str) -> None:
    with pytest.raises(UsageError) as refused:
        answer(Asked(**changes))  # type: ignore[arg-type]  # as Invoke gives them
    assert refused.value.code == code


def test_a_folder_for_helpers_that_cannot_be_is_refused_before_the_code_is_asked_for(tmp_path: Path) -> None:
    key = tmp_path / "hana.pub"
    key.write_text(PUBLIC)
    (tmp_path / "file").write_text("")
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    for folder, code in (("file/under", "helper.files"), ("open", "file.mode")):
        with pytest.raises(UsageError) as refused:
            answer(Asked(helper=[f"Hana={key}"], helper_files=str(tmp_path / folder)))
        assert refused.value.code == code


def settings(tmp_path: Path, **changes: str) -> AdminSettings:
    file = tmp_path / "authority.pem"
    file.write_text(vouch_for("192.0.2.1", begins=START, ends=START).authority_pem)
    return AdminSettings(**(SET | {"headscale_authority": f"file:{file}"} | changes))  # type: ignore[arg-type]  # texts


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("https://hs.example", "https://hs.example:443"),
        ("https://HS.example/", "https://hs.example:443"),
        ("https://hs.example:8443", "https://hs.example:8443"),
        ("https://192.0.2.7", "https://192.0.2.7:443"),
        ("https://[2001:db8::7]", "https://[2001:db8::7]:443"),
    ],
)
def test_a_standing_server_has_one_address_however_it_is_written(tmp_path: Path, written: str, url: str) -> None:
    found = standing_server(settings(tmp_path, headscale_server=written))
    assert found is not None
    assert found.url == url


def test_its_key_is_read_when_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = standing_server(settings(tmp_path))
    assert found is not None
    monkeypatch.setenv("HEADSCALE_KEY", "a-key")
    assert found.key().reveal() == "a-key"
    assert "HEADSCALE_KEY" not in os.environ, "no child inherits it"
    assert found.key().reveal() == "a-key", "and yet it is there for the next who needs it"


@pytest.mark.parametrize(
    "changes",
    [
        {"headscale_key": ""},
        {"headscale_server": ""},
        {"headscale_server": "http://hs.example"},
        {"headscale_server": "https://hs.example/x"},
        {"headscale_server": "https://ann@hs.example"},
        {"headscale_server": "https://localhost"},
        {"headscale_server": "hs.example"},
    ],
)
def test_one_that_is_named_in_part_or_wrongly_is_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    with pytest.raises(UsageError) as refused:
        standing_server(settings(tmp_path, **changes))
    assert refused.value.code == "config.standing"


def test_none_is_none() -> None:
    assert standing_server(AdminSettings()) is None


@pytest.mark.parametrize("kind", ["nothing", "garbage", "two", "no authority"])
def test_an_authority_is_one_certificate(kind: str) -> None:
    made = vouch_for("192.0.2.1", begins=START, ends=START)
    text = {
        "nothing": "",
        "garbage": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "two": made.authority_pem * 2,
        "no authority": made.certificate.split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n",
    }[kind]
    with pytest.raises(UsageError) as refused:
        as_der(text)
    assert refused.value.code == "config.authority"
    assert as_der(made.authority_pem) == made.authority


@pytest.mark.parametrize("task", ["create-tunnel-server", "create", "tunnel.create"])
def test_both_verbs_that_launch_take_a_cloud(task: str) -> None:
    """So completion offers it, which is made of the same arguments."""
    (context,) = Parser(contexts=namespace().to_contexts()).parse_argv([task, "--cloud", "hetzner"])
    assert context.args["cloud"].value == "hetzner"
