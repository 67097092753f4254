"""What Google alone has: it ends a server itself, an operation fails after its answer, a zone may be missing from a list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support_tunnel.core.errors import CloudError
from support_tunnel.core.ports import Server
from support_tunnel.testing.clock import ManualClock
from tests.clouds.gate import Answer, Fault, Gate, gate
from tests.clouds.google import Google
from tests.clouds.test_every_cloud import reach, spec


@pytest.fixture
def google() -> Iterator[Gate]:
    with gate(Google()) as made:
        yield made


def test_what_is_sent_to_make_a_server(google: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = reach(google, ManualClock()).create(spec())
    (sent,) = [json.loads(request.body) for request in google.log if google.provider.creates(request)]
    assert sent["scheduling"] == {
        "maxRunDuration": {"seconds": "4200"},
        "instanceTerminationAction": "DELETE",
        "automaticRestart": False,
    }
    assert sent["serviceAccounts"] == [], "else it has the project's default account"
    assert {"key": "user-data", "value": spec().user_data} in sent["metadata"]["items"]
    assert sent["disks"][0]["initializeParams"]["sourceImage"].endswith("debian-cloud/global/images/family/debian-13")
    (script,) = [item["value"] for item in sent["metadata"]["items"] if item["key"] == "startup-script"]
    assert script.endswith("systemctl restart ssh\n"), "it answers with the image's own key until then"
    assert made.boot_seconds > Server("", "", "", running=True).boot_seconds, "cloud-init must be installed first"
    assert list(tmp_path.iterdir()) == [], "libcloud would keep the access token there"


def test_an_operation_that_fails_is_told_in_its_own_words(google: Gate) -> None:
    failed = {"error": {"errors": [{"code": "QUOTA_EXCEEDED", "message": "Quota 'CPUS' exceeded. Limit: 8.0"}]}}
    done = {"name": "operation1", "status": "DONE", "kind": "compute#operation", **failed}
    google.faults = [
        Fault(lambda request: request.path.endswith("/wait") and "/zones/" in request.path, Answer(200, json.dumps(done).encode()))
    ]  # fmt: skip
    with pytest.raises(CloudError, match="says: Quota 'CPUS' exceeded") as refused:
        reach(google, ManualClock()).create(spec())
    assert refused.value.code == "cloud.quota"


def test_a_list_without_a_zone_is_no_list(google: Gate) -> None:
    cloud = reach(google, ManualClock())
    cloud.create(spec())
    unreachable = {"items": {"zones/europe-west3-c": {"warning": {"code": "UNREACHABLE", "message": "x"}}}}
    google.faults = [Fault(google.provider.lists, Answer(200, json.dumps(unreachable).encode()), times=100)]
    with pytest.raises(CloudError):
        cloud.servers()
