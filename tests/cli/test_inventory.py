"""The inventory says what Ansible says about the same files, and refuses by file and line what it does not understand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support_tunnel.cli.admin.host_login import login_of
from support_tunnel.cli.admin.inventory import read_inventory
from support_tunnel.core.errors import UsageError
from support_tunnel.core.ssh_key import new_keypair

FILES = {
    "a.yml": """
all:
  vars: {where: inventory all, only_all: 1, list: [1, {deep: true}]}
  hosts:
    lonely:
    web1: {ansible_host: 192.0.2.1, mine: host in file}
  children:
    europe:
      vars: {where: inventory europe, zone: eu}
      children:
        web:
          hosts: {web1: null, web2: {mine: too}}
          vars: {where: inventory web}
    beta:
      hosts: {web1: null}
      vars: {zone: beta, tie: beta}
""",
    "b.yaml": "alpha: {hosts: {web1: null, extra: null}, vars: {tie: alpha, zone: alpha}}\nweb: {hosts: {web3: null}}\n",
    "group_vars/all.yml": "where: group_vars all\nfrom_all: 1\n",
    "group_vars/europe.yaml": "from_europe: 1\nmine: europe\n",
    "group_vars/web/10.yml": "in_folder: 10\nlater: 10\n",
    "group_vars/web/20.yml": "later: 20\n",
    "group_vars/ungrouped.yml": "alone: true\n",
    "host_vars/web2.yml": "mine: host_vars\n",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_variables_come_from_the_nearest_place(tmp_path: Path) -> None:
    hosts = {host.name: host for host in read_inventory(write(tmp_path, FILES)).select("all")}
    assert set(hosts) == {"lonely", "web1", "web2", "web3", "extra"}
    about = hosts["web1"].variables
    assert (about["where"], about["mine"]) == ("group_vars all", "host in file")
    # alpha, beta and europe are equally deep, so the last by name wins; web is deeper
    assert (about["zone"], about["tie"], about["later"]) == ("eu", "beta", 20)
    assert (hosts["web2"].variables["mine"], hosts["web3"].variables["mine"]) == ("host_vars", "europe")
    assert hosts["lonely"].variables["alone"]


@pytest.mark.oracle
def test_ansible_reads_the_same_variables_and_groups(tmp_path: Path) -> None:
    folder = write(tmp_path / "inventory", FILES)
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-inventory"), "-i", folder, "--list"],
        capture_output=True, text=True, timeout=60, check=True,
        env={"HOME": str(tmp_path), "ANSIBLE_HOME": str(tmp_path), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    theirs = json.loads(done.stdout)
    ours = read_inventory(folder)
    assert {host.name: host.variables for host in ours.select("all")} == theirs["_meta"]["hostvars"]
    for group, about in theirs.items():
        if group not in ("_meta", "all") and "hosts" in about:
            assert {host.name for host in ours.select(group)} >= set(about["hosts"])


def test_hosts_and_groups_are_selected_by_name(tmp_path: Path) -> None:
    inventory = read_inventory(write(tmp_path, FILES))

    def names(pattern: str) -> set[str]:
        return {host.name for host in inventory.select(pattern)}

    assert names("europe") == {"web1", "web2", "web3"}
    assert names("beta, extra") == {"web1", "extra"}
    assert names("ungrouped") == {"lonely"}
    assert [host.implicit for host in inventory.select("localhost")] == [True]
    with pytest.raises(UsageError, match="no host and no group 'web\\*'"):
        inventory.select("web*")


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("all:\n  hosts:\n    web[1:3]:\n", "hosts.yml:3", "a range"),
        ("all:\n  vars:\n    a: '{{ b }}'\n", "hosts.yml:3", "a template"),
        ("all:\n  vars:\n    a: [x, {b: ['{% c %}']}]\n", "hosts.yml:3", "a template"),
        ("web:\n  host:\n    a:\n", "hosts.yml:2", "not 'host'"),
        ("web:\n  hosts: [a, b]\n", "hosts.yml:2", "must hold a mapping"),
        ("all:\n  vars:\n    a: !vault x\n", "hosts.yml:3", "!vault"),
        ("a: {children: {b: null}}\nb:\n  children:\n    a:\n", "hosts.yml", "contains itself"),
        ("a: {\n", "hosts.yml", "not YAML"),
        ("a: {hosts: {x: null}}\na: {}\n", "hosts.yml:2", "twice"),
    ],
)
def test_what_is_not_supported_is_refused_by_line(tmp_path: Path, text: str, place: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_inventory(write(tmp_path, {"hosts.yml": text}))
    assert place in caught.value.message
    assert words in caught.value.message


HOST_KEY = new_keypair()[1]


def login(tmp_path: Path, variables: str, known: str = "") -> object:
    key, known_hosts = tmp_path / "key", tmp_path / "known_hosts"
    key.write_text("a key")
    known_hosts.write_text(known)
    text = f"all:\n  hosts:\n    web:\n      ansible_ssh_private_key_file: {key}\n{variables}"
    (host,) = read_inventory(write(tmp_path, {"hosts.yml": text})).select("web")
    return login_of(host, known_hosts=known_hosts)


def test_a_login_is_read_from_the_variables(tmp_path: Path) -> None:
    variables = f"      ansible_host: 192.0.2.7\n      ansible_port: 2200\n      ansible_user: ada\n      support_tunnel_host_key: {HOST_KEY}\n"
    found = login(tmp_path, variables)
    about = [getattr(found, name) for name in ("address", "port", "user", "host_key")]
    assert about == ["192.0.2.7", 2200, "ada", HOST_KEY]
    assert login(tmp_path, "      ansible_connection: local\n") is None


def test_a_host_key_comes_from_known_hosts_hashed_or_not(tmp_path: Path) -> None:
    key = " ".join(HOST_KEY.split()[:2])
    for name, variables in (("web", ""), ("[web]:2200", "      ansible_port: 2200\n")):
        (tmp_path / "plain").write_text(f"{name} {key}\n")
        subprocess.run(
            ["ssh-keygen", "-q", "-H", "-f", tmp_path / "plain"], check=True, capture_output=True, timeout=10
        )
        hashed = (tmp_path / "plain").read_text()
        assert "web" not in hashed
        for known in (f"{name} {key}\n", hashed):
            assert getattr(login(tmp_path, variables, known), "host_key") == key  # noqa: B009 - the value is an object


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ("", "ssh.unknown"),
        ("      support_tunnel_host_key: ssh-rsa AAAA\n", "inventory.type"),
        ("      ansible_password: x\n", "role.unsupported"),
        ("      ansible_ssh_common_args: -o ProxyCommand=x\n", "role.unsupported"),
        ("      ansible_connection: docker\n", "role.unsupported"),
        ("      ansible_port: 70000\n", "inventory.type"),
        ("      ansible_host: -oProxyCommand=x\n", "inventory.type"),
    ],
)
def test_a_login_that_is_not_safe_or_not_known_is_refused(tmp_path: Path, variables: str, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        login(tmp_path, variables)
    assert caught.value.code == code


def test_a_key_file_that_is_missing_is_named(tmp_path: Path) -> None:
    variables = f"      support_tunnel_host_key: {HOST_KEY}\n"
    text = f"all:\n  hosts:\n    web:\n      ansible_ssh_private_key_file: {tmp_path}/none\n{variables}"
    (host,) = read_inventory(write(tmp_path, {"hosts.yml": text})).select("web")
    with pytest.raises(UsageError, match="none cannot be read"):
        login_of(host, known_hosts=tmp_path / "known_hosts")
