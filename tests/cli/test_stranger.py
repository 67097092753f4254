"""The command line as somebody meets it who has set nothing up, mistypes things, or finds the API away.

Every verb here runs as its own process with an empty home; none of them needs a host, or root.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.ledger_disk import DiskLedger
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.settings import ApiSettings
from support_tunnel.api.tokens import create_token
from support_tunnel.cli import paths
from support_tunnel.core import ssh_key
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Completed, LedgerEntry
from support_tunnel.core.st1.code import Code

Run = Callable[..., Completed]


def program(name: str, home: Path) -> Run:
    def run(*words: str, stdin: str = "", inventory: Path | None = None) -> Completed:
        settings = {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
        if inventory:
            settings["SUPPORT_TUNNEL_INVENTORY"] = str(inventory)
        argv = ["env", "-C", str(paths.REPOSITORY), str(Path(sys.executable).with_name(name)), *words]
        ended = processes.run(argv, stdin=stdin.encode(), timeout=90, accept=None, env=settings)
        assert "Traceback" not in ended.stdout + ended.stderr
        assert not (home / ".cache").exists(), "something unexpected was written down for debugging"
        return ended

    return run


@pytest.fixture
def fab(tmp_path: Path) -> Run:
    return program("fab", tmp_path)


@pytest.fixture
def inv(tmp_path: Path) -> Run:
    return program("inv", tmp_path)


def inventory(folder: Path, **settings: object) -> Path:
    file = folder / "inventory.yml"
    private, _ = ssh_key.new_keypair()
    (folder / "signer").write_text(private.reveal())
    places = {"state": str(folder / "state"), "signer": str(folder / "signer"), "token": f"file:{folder / 'token'}"}
    clouds = {"local": {"root": str(folder / "cloud")}}
    file.write_text(yaml.safe_dump({"support_tunnel": {**places, "clouds": clouds, **settings}}))
    return file


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Path]:
    """The inventory of an admin whose API is there."""
    clock = SystemClock()
    with RunningApi(ApiSettings(state_dir=tmp_path / "api", port=0), clock=clock) as api:
        (tmp_path / "token").write_text(create_token(api.store, name="ada", clock=clock).reveal())
        yield inventory(tmp_path, api=api.url, api_fingerprint=api.fingerprint)


# --- looking around -------------------------------------------------------------------------------------------------


def test_the_lists_name_every_verb_with_a_sentence(inv: Run, fab: Run) -> None:
    listed = {"inv": inv("--list"), "fab": fab("--list")}
    assert {ended.status for ended in listed.values()} == {0}
    for verb in ("request-and-connect-tunnel", "status", "stop", "gc"):
        assert re.search(rf"^  {verb}\b.*  [A-Z]\w+", listed["inv"].stdout, re.MULTILINE)
    for verb in (
        "create-tunnel-server",
        "command",
        "connect",
        "list",
        "stop",
        "sweep",
        "rehearse",
        "api.serve",
        "key.create",
    ):
        assert re.search(rf"^  {verb}\b.*  [A-Z]\w+", listed["fab"].stdout, re.MULTILINE)


def test_the_lists_are_short_enough_for_one_look_in_80_columns(inv: Run, fab: Run) -> None:
    for program in (inv, fab):
        shown = program("--list").stdout
        verbs = re.split(r"^  (?=[a-z])", shown, flags=re.MULTILINE)[1:]
        assert len(verbs) > 10
        assert [verb for verb in verbs if len(verb.strip().splitlines()) > 2] == []


def test_help_says_the_rest_as_plain_paragraphs(inv: Run) -> None:
    shown = inv("--help", "approve").stdout
    assert "\n  See who has answered, say yes or no, open.\n\n  Waits for nobody." in shown


@pytest.mark.parametrize("words", [("--help", "create-tunnel-server"), ("create-tunnel-server", "--help")])
def test_help_is_given_before_and_after_the_name(fab: Run, words: tuple[str, ...]) -> None:
    ended = fab(*words)
    assert ended.status == 0
    assert "--preshared-key" in ended.stdout


@pytest.mark.parametrize("verb", ["command", "connect", "stop"])
def test_help_of_a_verb_that_takes_a_tunnel(fab: Run, verb: str) -> None:
    ended = fab("--help", verb)
    assert ended.status == 0
    assert "After its name: TUNNEL-ID" in ended.stdout


# --- what is wrong is said in one sentence --------------------------------------------------------------------------


def refusal(ended: Completed) -> tuple[int, str]:
    """Exit status and stable code of the error."""
    found = re.search(r"^Error \(([a-z.-]+)\): .+\.$", ended.stderr, re.MULTILINE)
    assert found, ended.stderr
    return ended.status, found[1]


def mistyped(code: str) -> str:
    return code[:-1] + ("q" if code[-1] != "q" else "p")


@pytest.mark.parametrize("spelt", ["text", "grouped"])
def test_a_mistyped_code_is_refused_and_not_repeated(fab: Run, spelt: str) -> None:
    wrong = mistyped(getattr(Code.generate(), spelt)().reveal())
    ended = fab("create-tunnel-server", "--json", "-p", "-", stdin=wrong + "\n")
    assert refusal(ended) == (2, "code.checksum")
    assert json.loads(ended.stdout)["error"]["code"] == "code.checksum"
    plain, said = wrong.replace(" ", ""), (ended.stdout + ended.stderr).replace(" ", "")
    assert not [plain[i : i + 8] for i in range(len(plain) - 7) if plain[i : i + 8] in said]


def test_a_code_of_another_tunnel_is_noticed(fab: Run) -> None:
    code, other = Code.generate(), Code.generate()
    ended = fab("create-tunnel-server", "-p", "-", "-t", other.tunnel, stdin=code.text().reveal())
    assert refusal(ended) == (2, "code.mismatch")


@pytest.mark.parametrize("minutes", ["4", "1441", "0"])
def test_a_wait_that_is_too_short_or_too_long(fab: Run, minutes: str) -> None:
    ended = fab("create-tunnel-server", "-p", "-", "--wait", minutes, stdin=Code.generate().text().reveal())
    assert refusal(ended) == (2, "usage.range")


def test_nobody_to_ask_for_a_code(fab: Run) -> None:
    assert fab("create-tunnel-server").status == 2


@pytest.mark.parametrize("verb", ["connect", "stop"])
@pytest.mark.parametrize(("tunnel", "expected"), [("abcd1234", (4, "tunnel.unknown")), ("no such", (2, "tunnel.id"))])
def test_a_tunnel_that_is_not_there(fab: Run, verb: str, tunnel: str, expected: tuple[int, str]) -> None:
    assert refusal(fab(verb, tunnel)) == expected


def test_a_command_for_a_tunnel_that_is_not_there(fab: Run) -> None:
    assert refusal(fab("command", "abcd1234", "true")) == (4, "tunnel.unknown")


def test_no_api_is_set(fab: Run) -> None:
    ended = fab("list")
    assert refusal(ended) == (2, "config.api")
    assert ended.stdout == "unknown: the requests and tunnels of others; the API could not be asked\n"
    assert "SUPPORT_TUNNEL_API" in ended.stderr
    as_json = fab("list", "--json")
    assert [as_json.status, *map(json.loads, as_json.stdout.splitlines())][:2] == [2, []]
    assert json.loads(as_json.stdout.splitlines()[1])["error"]["code"] == "config.api"


def test_the_api_is_away(fab: Run, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    away = inventory(tmp_path, api="https://127.0.0.1:1", api_fingerprint="00" * 32)
    assert refusal(fab("list", inventory=away)) == (6, "api.unreachable")


def test_plain_http_beyond_this_machine_is_refused(fab: Run, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    assert fab("list", inventory=inventory(tmp_path, api="http://192.0.2.1:1")).status == 2


def test_a_request_that_the_api_does_not_know(fab: Run, answering: Path) -> None:
    ended = fab("create-tunnel-server", "-p", "-", stdin=Code.generate().text().reveal(), inventory=answering)
    assert refusal(ended) == (4, "tunnel.unknown")
    assert "Ask for a new code." in ended.stderr


def test_nothing_to_list_and_nothing_to_sweep(fab: Run, answering: Path) -> None:
    assert fab("list", inventory=answering).stdout == "no tunnels\n"
    for words in (["sweep"], ["sweep", "--dry-run"], ["gc"], ["sweep"]):
        swept = fab(*words, inventory=answering)
        assert (swept.status, swept.stdout) == (0, "nothing to sweep\n")


def test_what_a_killed_tool_left_is_named_by_the_next_one(fab: Run, answering: Path, tmp_path: Path) -> None:
    now = SystemClock().now()
    entry = LedgerEntry(TunnelId("ab" * 16), "local", "answered", now, now + timedelta(hours=1))
    DiskLedger(tmp_path / "state" / "ledger").write(entry)
    assert "Unfinished: abababab (answered since " in fab("list", inventory=answering).stderr
    ended = fab("create-tunnel-server", "-p", "-", stdin=Code.generate().text().reveal(), inventory=answering)
    assert "`fab resume abababab` goes on, `fab sweep` removes it" in ended.stderr
    dry = fab("sweep", "--dry-run", inventory=answering)
    assert dry.stdout == "would end: tunnel abababab\n"


def test_an_inventory_that_is_not_there(fab: Run, tmp_path: Path) -> None:
    assert refusal(fab("list", inventory=tmp_path / "nowhere.yml")) == (2, "config.inventory")


def test_a_signing_key_is_made_once(fab: Run, tmp_path: Path) -> None:
    made = json.loads(fab("key.create", "--json").stdout)
    assert Path(made["file"]).is_relative_to(tmp_path)
    assert Path(made["file"]).stat().st_mode & 0o777 == 0o600
    assert ssh_key.fingerprint(made["public_key"]) == made["fingerprint"]
    assert refusal(fab("key.create")) == (2, "signer.exists")
