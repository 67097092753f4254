"""`get_url` and `unarchive`: what is fetched is what the role says or nothing, what is unpacked stays in its folder."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.api.certificate import ensure_certificate
from support_tunnel.desired import Report
from tests.desired.bench import Bench, statuses
from tests.desired.killing import Killing
from tests.desired.supply import HONEST, Web, archive, web
from tests.desired.test_undo import nothing_left

GET = """
- get_url: {url: "{{ url }}", dest: "{{ root }}/got", checksum: "sha256:{{ digest }}", mode: "0640"}
"""
CONTENT = bytes(range(256))
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with web() as made:
        made.files = {"/it?a=[1]&b={2,3}": CONTENT, "/moved": "/it?a=[1]&b={2,3}", "/half": None, "/loop": "/loop"}
        yield made


def got(bench: Bench, server: Web, path: str = "/it?a=[1]&b={2,3}", digest: str = DIGEST, **how: bool) -> Report:
    bench.role(GET)
    return bench.apply({"url": f"{server.url}{path}", "digest": digest}, **how)


def without(bench: Bench, *programs: str) -> None:
    """From now on the bench's shell finds none of these in /usr/bin."""
    hide = 'for name in $1; do mount --bind /dev/null /usr/bin/$name || exit; done; shift; exec "$@"'
    bench.shell = ["unshare", "--mount", "sh", "-c", hide, "hide", " ".join(programs), *bench.shell]


@pytest.mark.parametrize("hidden", ["wget", "curl"])
@pytest.mark.parametrize("path", ["/it?a=[1]&b={2,3}", "/moved"])
def test_a_file_is_fetched_once_by_whichever_program_there_is(
    bench: Bench, server: Web, hidden: str, path: str
) -> None:
    without(bench, hidden)
    assert statuses(got(bench, server, path, check=True)) == ["changed"]
    assert not (bench.root / "got").exists()
    server.asked.clear()
    got(bench, server, path).raise_for_failure("host")
    assert bench.tree()["got"][1:] == (0o640, *bench.tree()["."][2:4], CONTENT)
    assert server.asked
    server.asked.clear()
    assert statuses(got(bench, server, path)) == ["ok"]
    (bench.root / "got").chmod(0o600)
    assert statuses(got(bench, server, path)) == ["changed"]
    assert server.asked == []
    (bench.root / "got").write_text("drift")
    assert statuses(got(bench, server, path)) == ["changed"]
    assert (bench.root / "got").read_bytes() == CONTENT
    assert {item.name for item in bench.root.iterdir()} == {"got"}


@pytest.mark.parametrize("hidden", ["wget", "curl"])
@pytest.mark.parametrize(
    ("path", "words"),
    [("/it?a=[1]&b={2,3}", "has the digest"), ("/nothing", "404"), ("/half", ""), ("/loop", "redirect")],
)
def test_a_file_that_is_not_the_one_wanted_never_gets_its_name(
    dash: Bench, server: Web, hidden: str, path: str, words: str
) -> None:
    without(dash, hidden)
    (dash.root / "got").write_text("as it was")
    before = dash.tree()
    digest = "0" * 64 if words == "has the digest" else DIGEST
    failed = got(dash, server, path, digest, undo=True).failed
    assert failed is not None
    assert words in failed.detail
    assert dash.tree() == before
    dash.undo().raise_for_failure("host")
    assert dash.tree() == before


@pytest.mark.parametrize("hidden", ["wget", "curl"])
def test_no_password_of_roots_is_sent(dash: Bench, server: Web, hidden: str) -> None:
    """Whoever is on the way could redirect to any host that root has one for."""
    without(dash, hidden)
    (dash.base / ".netrc").write_text("machine 127.0.0.1 login root password canary\n")
    (dash.base / ".netrc").chmod(0o600)
    dash.shell = ["env", f"HOME={dash.base}", *dash.shell]
    got(dash, server, "/moved").raise_for_failure("host")
    assert server.asked
    assert server.passwords == []


@pytest.mark.parametrize("hidden", ["wget", "curl"])
def test_no_redirect_leads_out_of_tls(dash: Bench, server: Web, hidden: str) -> None:
    certificate = ensure_certificate(dash.base, ["127.0.0.1"], SystemClock())
    trust = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    trusted = Path(
        "/etc/ssl/certs", "ca-certificates.crt"
    )  # Debian's one file of authorities, which curl and wget read
    dash.shell = ["unshare", "--mount", "sh", "-c", trust, "trust", str(certificate), str(trusted), *dash.shell]
    without(dash, hidden)
    with web(certificate) as safe:
        safe.files = {"/out": f"{server.url}/it?a=[1]&b={{2,3}}", "/in": "/it", "/it": CONTENT}
        server.asked.clear()
        assert got(dash, safe, "/out").failed is not None
        assert (safe.asked, server.asked) == (["/out"], [])
        got(dash, safe, "/in").raise_for_failure("host")
        server.files["/up"] = f"{safe.url}/it"
        (dash.root / "got").unlink()
        got(dash, server, "/up").raise_for_failure("host")


def test_a_host_that_can_fetch_nothing_says_what_is_missing(bench: Bench, server: Web) -> None:
    without(bench, "curl", "wget")
    failed = got(bench, server).failed
    assert failed is not None
    assert "neither curl nor wget is installed" in failed.detail
    assert list(bench.root.iterdir()) == []


def test_a_link_in_the_way_is_replaced_and_what_it_points_to_stays(bench: Bench, server: Web) -> None:
    (bench.root / "other").write_bytes(CONTENT)
    (bench.root / "other").chmod(0o644)
    (bench.root / "got").symlink_to("other")
    before = bench.tree()
    got(bench, server, undo=True).raise_for_failure("host")
    assert bench.tree()["other"] == before["other"]
    assert not (bench.root / "got").is_symlink()
    bench.undo().raise_for_failure("host")
    assert bench.tree() == before
    assert nothing_left(bench)


# --- unarchive ------------------------------------------------------------------------------------------------------

UNPACK = """
- unarchive: {src: "{{ root }}/a", dest: "{{ root }}/to", remote_src: true, owner: "{{ owner | default(omit) }}", group: "{{ owner | default(omit) }}"}
"""


def unpacked(bench: Bench, content: bytes | None = None, *, check: bool = False, undo: bool = False) -> Report:
    bench.role(UNPACK)
    (bench.root / "to").mkdir(exist_ok=True)
    if content is not None:
        (bench.root / "a").write_bytes(content)
    return bench.apply(check=check, undo=undo)


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_an_archive_is_unpacked_once_and_drift_is_repaired(bench: Bench, compression: str) -> None:
    assert statuses(unpacked(bench, archive(compression=compression), check=True)) == ["changed"]
    assert list((bench.root / "to").iterdir()) == []
    unpacked(bench).raise_for_failure("host")
    made = bench.tree()
    files = {name for name, kind, _ in HONEST if kind == tarfile.REGTYPE}
    assert {name.removeprefix("to/") for name in made if name.startswith("to/")} >= files
    assert made["to/tool-1.0/bin/run"][1:] == (0o750, 1234, 4321, b"#!/bin/sh\n")
    assert made["to/deep/er"][1] == 0o755
    assert statuses(unpacked(bench)) == ["ok"]
    run = bench.root / "to/tool-1.0/bin/run"
    for drift in (lambda: run.write_text("other"), lambda: run.chmod(0o700), run.unlink):
        drift()
        assert statuses(unpacked(bench, check=True)) == ["changed"]
        unpacked(bench).raise_for_failure("host")
        assert bench.tree() == made
    (bench.root / "to/beside").touch()
    assert statuses(unpacked(bench)) == ["ok"]


def test_owner_and_group_reach_everything_in_it_and_nothing_beside(bench: Bench) -> None:
    (bench.root / "to").mkdir()
    (bench.root / "to/beside").touch()
    beside = bench.tree()["to/beside"]
    bench.role(UNPACK)
    (bench.root / "a").write_bytes(archive())
    bench.apply({"owner": "games"}).raise_for_failure("host")
    made = bench.tree()
    # the topmost folder too, but as with Ansible no other that has no entry of its own
    assert {name for name in made if name.startswith("to/") and made[name][2:4] != (5, 60)} == {
        "to/beside", "to/deep/er", "to/tool-1.0/bin",
    }  # fmt: skip
    assert made["to/beside"] == beside
    assert statuses(bench.apply({"owner": "games"})) == ["ok"]
    assert statuses(bench.apply({"owner": "8"})) == ["changed"]
    assert statuses(bench.apply({"owner": "8"})) == ["ok"]


HOSTILE = {
    "dots": ([("a/../../out", tarfile.REGTYPE, "x")], "leads out of it"),
    "dots at the end": ([("a/..", tarfile.DIRTYPE, "")], "leads out of it"),
    "the root": ([("/out", tarfile.REGTYPE, "x")], "leads out of it"),
    "line break": ([("a\n/out", tarfile.REGTYPE, "x")], "line break"),
    "nothing": ([], "empty"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_an_archive_that_wants_out_is_not_unpacked(bench: Bench, case: str) -> None:
    members, words = HOSTILE[case]
    failed = unpacked(bench, archive(members)).failed
    assert failed is not None
    assert words in failed.detail
    assert {path.name for path in bench.root.rglob("*")} == {"a", "to"}


def test_a_link_of_the_archive_is_not_a_way_out(bench: Bench) -> None:
    bait = [("way", tarfile.SYMTYPE, ".."), ("way/out", tarfile.REGTYPE, "x")]
    unpacked(bench, archive(bait))
    assert not (bench.root / "out").exists()


def test_what_cannot_be_unpacked_says_why(bench: Bench) -> None:
    bench.role(UNPACK)
    for furnish, words in (
        (lambda: None, "does not exist"),
        ((bench.root / "a").touch, "is not a directory"),
        ((bench.root / "to").mkdir, "tar"),
        (lambda: (bench.root / "a").write_text("no archive"), "tar"),
        (lambda: (bench.root / "a").write_bytes(archive()[:90]), "tar"),
    ):
        furnish()
        failed = bench.apply().failed
        assert failed is not None
        assert words in failed.detail, words


def test_with_creates_the_archive_is_not_even_looked_for(bench: Bench) -> None:
    bench.role('- unarchive: {src: /no/archive, dest: "{{ root }}", remote_src: true, creates: "{{ root }}/done"}')
    assert bench.apply().failed is not None
    (bench.root / "done").touch()
    assert statuses(bench.apply()) == ["ok"]


def test_undo_takes_out_what_was_unpacked_and_puts_back_what_it_covered(bench: Bench) -> None:
    covered = bench.root / "to/tool-1.0/bin"
    covered.mkdir(parents=True)
    (covered / "run").write_text("theirs")
    (covered / "run").chmod(0o4711)
    (bench.root / "to/link").symlink_to("nowhere")
    (bench.root / "a").write_bytes(archive())
    before = bench.tree()
    unpacked(bench, undo=True).raise_for_failure("host")
    assert bench.tree() != before
    (bench.root / "to/-dash").write_text("drift")
    unpacked(bench, undo=True).raise_for_failure("host")
    bench.undo().raise_for_failure("host")
    assert bench.tree() == before
    assert nothing_left(bench)


@pytest.mark.parametrize("link", ["to", "to/tool-1.0"])
def test_with_undo_nothing_is_unpacked_through_a_link(bench: Bench, link: str) -> None:
    (bench.base / "elsewhere").mkdir()
    (bench.root / link).parent.mkdir(exist_ok=True)
    (bench.root / link).symlink_to(bench.base / "elsewhere")
    (bench.root / "a").write_bytes(archive())
    before = bench.tree()
    bench.role(UNPACK)
    failed = bench.apply(undo=True).failed
    assert failed is not None
    assert "with undo" in failed.detail
    assert list((bench.base / "elsewhere").iterdir()) == []
    bench.undo().raise_for_failure("host")
    assert bench.tree() == before


def test_undo_wherever_fetching_or_unpacking_was_killed(dash: Bench, server: Web) -> None:
    dash.role(GET + UNPACK.replace("{{ root }}/a", "{{ root }}/got"))
    server.files["/archive"] = archive()
    given = {"url": f"{server.url}/archive", "digest": hashlib.sha256(archive()).hexdigest(), "owner": "games"}
    (dash.root / "to/tool-1.0/bin").mkdir(parents=True)
    (dash.root / "to/tool-1.0/bin/run").write_text("theirs")
    before = dash.tree()
    killing, plan = Killing(dash, ["curl", "mv", "cp", "chmod", "chown", "tar", "xargs"]), dash.plan(given, undo=True)
    plan.report(dash.run(plan.script)).raise_for_failure("host")
    changes = killing.ran
    assert changes.count("tar") > 3
    dash.undo().raise_for_failure("host")
    for number in range(1, len(changes) + 1):
        killing.before(number)
        assert plan.report(dash.run(plan.script)).failed is not None
        killing.nowhere()
        dash.undo().raise_for_failure("host")
        assert dash.tree() == before, f"killed before change {number}"
        assert nothing_left(dash), f"killed before change {number}"
