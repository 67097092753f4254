"""The cloud-init document: what it says, and that no value can say more than its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from support_tunnel.core.secret import Secret
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.desired.user_data import render_user_data

TEMPLATES = Path(__file__).parents[2] / "templates"
EXPIRES = datetime(2030, 1, 1, tzinfo=UTC)

# JSON writes what is beyond U+FFFF as a pair that YAML reads as two characters: still one value, but not the same one.
TEXT = st.text(st.characters(max_codepoint=0xFFFF, codec="utf-8"), min_size=1)


def render(**changed: Any) -> str:
    private, public = Secret("-----BEGIN-----\nAAAA\n-----END-----\n"), "ssh-ed25519 AAAA"
    values = {"host_key_private": private, "host_key_public": public, "login_user": "tunnel-admin", "login_key": public}
    return render_user_data(TEMPLATES, expires=EXPIRES, **{**values, **changed})


def read(document: str) -> dict[str, Any]:
    assert document.startswith("#cloud-config\n")
    loaded: dict[str, Any] = yaml.safe_load(document)
    return loaded


def test_it_lets_one_key_of_one_user_in_and_nobody_else() -> None:
    private, public = new_keypair()
    document = read(render(host_key_private=private, host_key_public=public, login_key="ssh-ed25519 BBBB"))
    assert document["ssh_keys"] == {"ed25519_private": private.reveal(), "ed25519_public": public}
    assert document["ssh_deletekeys"] is True
    assert document["disable_root"] is True
    assert document["ssh_pwauth"] is False
    (user,) = document["users"]  # without "default": the image's own user is not made
    assert user["name"] == "tunnel-admin"
    assert user["lock_passwd"] is True
    assert user["ssh_authorized_keys"] == ["ssh-ed25519 BBBB"]
    assert "passwd" not in user


def test_it_ends_the_server_at_the_hour_it_was_given() -> None:
    files = {entry["path"]: entry["content"] for entry in read(render())["write_files"]}
    assert f"-ge {int(EXPIRES.timestamp())}'" in files["/etc/systemd/system/support-tunnel-deadline.service"]


@settings(deadline=None, max_examples=60)  # a YAML parser in Python is slow
@given(
    values=st.fixed_dictionaries({name: TEXT for name in ("host_key_public", "login_user", "login_key")}), private=TEXT
)
def test_no_value_can_add_a_key_to_the_document(values: dict[str, str], private: str) -> None:
    plain = read(render())
    document = read(render(host_key_private=Secret(private), **values))
    assert document.keys() == plain.keys()
    assert document["ssh_keys"] == {"ed25519_private": private, "ed25519_public": values["host_key_public"]}
    (user,) = document["users"]
    assert user == {**plain["users"][0], "name": values["login_user"], "ssh_authorized_keys": [values["login_key"]]}
    assert document["write_files"] == plain["write_files"]
    assert document["runcmd"] == plain["runcmd"]


def test_values_that_look_like_templates_or_yaml_stay_text() -> None:
    for hostile in (
        'x"\nruncmd: [reboot]\n#',
        "{{ 7 * 7 }}",
        "- a\n- b",
        "*anchor",
        "!!python/object:os.system",
        "yes",
    ):
        document = read(render(login_key=hostile))
        assert document["users"][0]["ssh_authorized_keys"] == [hostile]
