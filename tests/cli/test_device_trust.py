"""Mode B by settings: each list that is named is read or refused, and a wrong one never means "anybody with the code"."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support_tunnel.cli import paths
from support_tunnel.cli.device.settings import DeviceSettings, load_device_settings
from support_tunnel.cli.device.trust import load_trust, trusting
from support_tunnel.core import ssh_key
from support_tunnel.core.errors import UsageError
from support_tunnel.core.st1.signer import PRINCIPAL, Organisation, Trust
from tests.cli.test_device_settings import write

OLD, NEW, ADA = (ssh_key.new_keypair()[1] for _ in range(3))


def configured(folder: Path, *lines: str, environ: dict[str, str] | None = None) -> DeviceSettings:
    config = write(folder / "config.ini", "\n".join(["[device]", "api = https://a.example", *lines, ""]))
    return load_device_settings(environ or {}, config=config)


@pytest.fixture
def org_ca(tmp_path: Path) -> Path:
    return write(tmp_path / "org-ca.pub", f"{OLD} Example Ltd\n{NEW} Example Ltd\n")


@pytest.fixture
def revoked(tmp_path: Path) -> Path:
    return write(tmp_path / "revoked", f"{ssh_key.fingerprint(ADA)}\n")


@pytest.fixture(autouse=True)
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `inv install` lays the lists."""
    monkeypatch.setattr(paths, "DEVICE_ORG_CA", tmp_path / "usual-org-ca.pub")
    monkeypatch.setattr(paths, "DEVICE_REVOKED", tmp_path / "usual-revoked")


@pytest.mark.parametrize("key", ["org-ca", "revoked"])
def test_settings_that_were_cut_off_before_a_list_are_no_mode_a(tmp_path: Path, key: str) -> None:
    list_of = {"org-ca": paths.DEVICE_ORG_CA, "revoked": paths.DEVICE_REVOKED}
    write(list_of[key], f"{OLD} Example Ltd\n" if key == "org-ca" else f"{ssh_key.fingerprint(ADA)}\n")
    with pytest.raises(UsageError) as refused:
        load_trust(configured(tmp_path))
    assert refused.value.code == "trust.unnamed"
    assert f"{key} = {list_of[key]}" in refused.value.next_step
    assert load_trust(configured(tmp_path, f"{key} = {list_of[key]}")) != Trust()
    list_of[key].unlink()
    assert load_trust(configured(tmp_path)) == Trust()


def test_no_organisation_is_mode_a(tmp_path: Path) -> None:
    assert load_trust(configured(tmp_path)) == Trust()


def test_the_files_that_the_settings_name_are_read(tmp_path: Path, org_ca: Path, revoked: Path) -> None:
    settings = configured(tmp_path, f"org-ca = {org_ca}", "org-principal = example-support", f"revoked = {revoked}")
    assert load_trust(settings) == Trust(
        (Organisation("Example Ltd", (OLD, NEW)),), frozenset({ssh_key.fingerprint(ADA)}), "example-support"
    )
    assert load_trust(configured(tmp_path, f"org-ca = {org_ca}")).principal == PRINCIPAL


def test_no_variable_of_the_callers_changes_whom_the_device_trusts(tmp_path: Path, org_ca: Path) -> None:
    environ = {
        "SUPPORT_TUNNEL_ORG_CA": "",
        "SUPPORT_TUNNEL_ORG_PRINCIPAL": "x",
        "SUPPORT_TUNNEL_REVOKED": str(tmp_path / "none"),
    }
    assert load_trust(configured(tmp_path, f"org-ca = {org_ca}", environ=environ)) == load_trust(
        configured(tmp_path, f"org-ca = {org_ca}")
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("org-ca = org-ca.pub", "config.value"),
        ("revoked = ~/revoked", "config.value"),
        ("org-principal = support", "config.value"),
        ("org-ca = /x\norg-principal = a b", "trust.principal"),
    ],
)
def test_a_wrong_setting_is_named_with_its_key(tmp_path: Path, line: str, code: str) -> None:
    with pytest.raises(UsageError) as refused:
        configured(tmp_path, line)
    assert refused.value.code == code
    assert f"device/{line.splitlines()[-1].split()[0]}" in refused.value.message


@pytest.mark.parametrize("which", ["org-ca", "revoked"])
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda file: file.unlink(), "file.read"),
        (lambda file: file.chmod(0o666), "file.mode"),
        (lambda file: file.chmod(0o664), "file.mode"),
        (lambda file: os.chown(file, 12345, -1), "file.owner"),
        (lambda file: file.write_bytes(b"\xff\xfe"), "file.content"),
        (lambda file: (file.unlink(), file.symlink_to("/etc/hostname")), "file.read"),
        (lambda file: (file.unlink(), file.mkdir()), "file.kind"),
        (lambda file: file.write_text("ssh-rsa AAAA Example Ltd\n"), "trust."),
    ],
)
def test_a_list_that_cannot_be_trusted_is_an_error(
    tmp_path: Path, org_ca: Path, revoked: Path, which: str, spoil: Callable[[Path], object], code: str
) -> None:
    settings = configured(tmp_path, f"org-ca = {org_ca}", f"revoked = {revoked}")
    spoil({"org-ca": org_ca, "revoked": revoked}[which])
    with pytest.raises(UsageError) as refused:
        load_trust(settings)
    assert refused.value.code.startswith(code)
    assert str(tmp_path / which) in refused.value.message
    # And so is one given to `inv install`, before anything is written.
    with pytest.raises(UsageError) as refused:
        trusting(DeviceSettings("", "", ""), org_ca=str(org_ca), revoked=str(revoked))
    assert refused.value.code.startswith(code)


def test_installing_writes_the_lists_where_only_root_can(tmp_path: Path, org_ca: Path, revoked: Path) -> None:
    settings, lists = trusting(configured(tmp_path), org_ca=str(org_ca), org_principal="x", revoked=str(revoked))
    assert (settings.org_ca, settings.org_principal) == (str(paths.DEVICE_ORG_CA), "x")
    assert settings.revoked == str(paths.DEVICE_REVOKED)
    assert lists == {
        "device_settings_org_ca_keys": [f"{OLD} Example Ltd", f"{NEW} Example Ltd"],
        "device_settings_revoked_keys": [ssh_key.fingerprint(ADA)],
    }


def test_installing_again_keeps_what_is_set(tmp_path: Path, org_ca: Path, revoked: Path) -> None:
    set_up = configured(tmp_path, f"org-ca = {org_ca}", "org-principal = x", f"revoked = {revoked}")
    assert trusting(set_up) == (set_up, {})
    org_ca.unlink()
    with pytest.raises(UsageError):
        trusting(set_up)


@pytest.mark.parametrize(
    ("given", "code"),
    [({"org_principal": "x"}, "trust.principal"), ({"revoked": "EMPTY"}, "trust.empty")],
)
def test_installing_half_of_it_is_refused(tmp_path: Path, given: dict[str, str], code: str) -> None:
    empty = write(tmp_path / "empty", "# nobody\n")
    with pytest.raises(UsageError) as refused:
        trusting(configured(tmp_path), **{key: value.replace("EMPTY", str(empty)) for key, value in given.items()})
    assert refused.value.code == code
