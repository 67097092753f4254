"""The device's two files: every wrong one is refused with its path, and nothing unknown is passed over."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from support_tunnel.cli.device.settings import load_device_settings, load_policy
from support_tunnel.core import ssh_key
from support_tunnel.core.errors import UsageError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.ini"


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o644)
    return file


def refusal(config: Path, environ: dict[str, str] | None = None) -> UsageError:
    with pytest.raises(UsageError) as refused:
        load_device_settings(environ or {}, config=config)
    return refused.value


def test_the_file_is_read(config: Path) -> None:
    write(config, "[device]\napi = https://a.example:8443\napi-fingerprint = ab\nname = Till 3 %h\n")
    settings = load_device_settings({}, config=config)
    assert (settings.api, settings.api_fingerprint, settings.name) == ("https://a.example:8443", "ab", "Till 3 %h")


def test_how_many_at_once(config: Path) -> None:
    write(config, "[device]\napi = https://a.example\n")
    assert load_device_settings({}, config=config).max_sessions == 1
    write(config, "[device]\napi = https://a.example\nmax-sessions = 5\n")
    assert load_device_settings({}, config=config).max_sessions == 5


def test_the_environment_wins(config: Path) -> None:
    write(config, "[device]\napi = https://a.example\n")
    environ = {"SUPPORT_TUNNEL_API": "https://b.example", "SUPPORT_TUNNEL_API_FINGERPRINT": "cd"}
    settings = load_device_settings(environ, config=config)
    assert (settings.api, settings.api_fingerprint) == ("https://b.example", "cd")


def test_the_host_name_is_the_name(config: Path) -> None:
    assert load_device_settings({"SUPPORT_TUNNEL_API": "https://a.example"}, config=config).name


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        ("[device]\napi = https://a.example\napii = x\n", "config.unknown", "device/apii"),
        ("[devices]\napi = https://a.example\n", "config.unknown", "[devices]"),
        ("api = x\n", "config.syntax", "config.ini"),
        ("[device]\napi = a\napi = b\n", "config.syntax", "config.ini"),
        ("[device]\napi = https://a.example\nmax-sessions = 0\n", "config.value", "device/max-sessions"),
        ("[device]\napi = https://a.example\nmax-sessions = many\n", "config.value", "device/max-sessions"),
        ("[device]\nname = x\n", "config.api", "no API address"),
        ("", "config.api", "no API address"),
    ],
)
def test_a_wrong_file_is_named(config: Path, text: str, code: str, named: str) -> None:
    refused = refusal(write(config, text))
    assert refused.code == code
    assert named in refused.message


def test_the_owners_scripts_and_debug_are_read(config: Path) -> None:
    text = "[device]\napi = a\ndebug = yes\npre-up-script = /opt/up --id {id} '{user} x'\npost-down-script=/opt/down\n"
    settings = load_device_settings({"SUPPORT_TUNNEL_PRE_UP_SCRIPT": "/opt/other"}, config=write(config, text))
    assert settings.debug
    assert not load_device_settings({"SUPPORT_TUNNEL_DEBUG": "no"}, config=config).debug
    assert {moment: command.words for moment, command in settings.hooks.items()} == {
        "pre-up": ("/opt/up", "--id", "{id}", "{user} x"),
        "post-down": ("/opt/down",),
    }


@pytest.mark.parametrize(
    ("line", "code", "named"),
    [
        ("debug = perhaps", "config.value", "device/debug"),
        ("pre-up-script = up.sh", "config.hook", "device/pre-up-script"),
        ("post-up-script = /up '", "config.hook", "device/post-up-script"),
        ("pre-down-script = /down {psk}", "config.hook", "{psk}"),
        ("pre-up = /up", "config.unknown", "device/pre-up"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(config: Path, line: str, code: str, named: str) -> None:
    refused = refusal(write(config, f"[device]\napi = a\n{line}\n"))
    assert refused.code == code
    assert named in refused.message


def test_the_proxy_is_read_with_its_password(config: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "password", "between you and me\n")
    file.chmod(0o600)
    write(config, f"[device]\napi = a\nproxy = http://till@proxy.example:3128\nproxy-password-file = {file}\n")
    proxy = load_device_settings({}, config=config).http_proxy()
    assert proxy is not None
    assert (proxy.host, proxy.port, proxy.user) == ("proxy.example", 3128, "till")
    assert proxy.password is not None
    assert proxy.password.reveal() == "between you and me"
    assert "between you" not in repr(proxy)
    told = {"SUPPORT_TUNNEL_PROXY": "http://other.example:1", "SUPPORT_TUNNEL_PROXY_PASSWORD_FILE": ""}
    assert str(load_device_settings(told, config=config).http_proxy()) == "other.example:1"
    assert load_device_settings({"SUPPORT_TUNNEL_API": "a"}, config=tmp_path / "none").http_proxy() is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_password_that_others_can_read_is_refused(config: Path, tmp_path: Path, mode: int) -> None:
    file = write(tmp_path / "password", "x")
    file.chmod(mode)
    write(config, f"[device]\napi = a\nproxy = http://till@p:1\nproxy-password-file = {file}\n")
    with pytest.raises(UsageError) as refused:
        load_device_settings({}, config=config).http_proxy()
    assert refused.value.code == "file.mode"


@pytest.mark.parametrize(
    "lines", ["proxy-password-file = /a", "proxy = http://u@p:1\nproxy-password-file = a", "proxy = p"]
)
def test_a_proxy_that_is_not_whole_is_refused(config: Path, lines: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_device_settings({}, config=write(config, f"[device]\napi = a\n{lines}\n")).http_proxy()
    assert refused.value.code == "config.proxy"


def test_a_file_that_others_can_write_is_refused(config: Path) -> None:
    write(config, "[device]\napi = https://a.example\n").chmod(0o666)
    assert refusal(config).code == "file.mode"


def test_no_policy_means_always_ask(tmp_path: Path) -> None:
    assert load_policy(policy=tmp_path / "none.toml") is None


def test_a_policy_is_read(tmp_path: Path) -> None:
    _, public = ssh_key.new_keypair("test")
    text = f'[[allow]]\nsigner = "{public}"\nscope = "shell"\nmax_ttl_minutes = 30\n'
    policy = load_policy(policy=write(tmp_path / "policy.toml", text))
    assert policy is not None
    assert policy.rules[0].signer == public


@pytest.mark.parametrize(
    "text", ["[[allow]", '[[allow]]\nsigner = "x"\nscope = "shell"\nmax_ttl_minutes = 30\n', "allow = 1\n"]
)
def test_a_wrong_policy_lets_nobody_in(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        load_policy(policy=write(tmp_path / "policy.toml", text))


WHOLE = """[device]
api = https://support.example.net:8443
api-fingerprint = 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
name = Till 3
debug = yes
pre-up-script = /usr/local/sbin/support-begins --tunnel {id}
"""


def test_51_a_file_that_was_half_written_is_refused_by_name_or_says_less(config: Path) -> None:
    """Cut anywhere, its last line may be shorter; nothing else is made of it, and nothing but our own error comes out."""
    outcomes = {"refused": 0, "read": 0}
    for length in range(len(WHOLE)):
        write(config, WHOLE[:length])
        try:
            settings = load_device_settings({}, config=config)
        except UsageError as refused:
            said, outcome = refused.message, "refused"
        else:
            said, outcome = str(config), "read"
            assert "https://support.example.net:8443".startswith(settings.api)
            assert settings.name in {WHOLE[:length].rpartition("name = ")[2].strip(), "Till 3", socket.gethostname()}
        assert str(config) in said
        outcomes[outcome] += 1
    assert min(outcomes.values()) > 10


@pytest.mark.parametrize(
    "rest", [b"\0" * 100, b"\xff\xfe[", b"[device", b"[device]\n\0 = \0\n", b"{}", b"\n" * 10000 + b"x"]
)
def test_51_a_file_with_something_else_in_it_is_refused_by_name(config: Path, rest: bytes) -> None:
    config.write_bytes(rest)
    config.chmod(0o644)
    assert str(config) in refusal(config).message
