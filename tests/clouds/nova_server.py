"""A real Nova on loopback: its API, scheduler, conductor and compute manager over its in-memory hypervisor, served by its own test harness.

`-P`: the files beside it have names of what it imports. Needs a virtual environment of its own (473 MB), so `./test` does not run it:

    pip install nova openstack-placement oslotest wsgi-intercept ddt requests-mock gabbi psycopg2-binary PyMySQL
    PORT=18774 python -P tests/clouds/nova_server.py
    SUPPORT_TUNNEL_NOVA=http://127.0.0.1:18774 .venv/bin/pytest tests/clouds -k nova
"""

from __future__ import annotations

import os
import sys
import unittest
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

os.environ.setdefault("OS_NOVA_DISABLE_EVENTLET_PATCHING", "true")


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def harness() -> type[Any]:
    from nova.tests.functional import integrated_helpers

    class Emulation(integrated_helpers._IntegratedTestBase):  # type: ignore[misc]  # nova has no types
        compute_driver = "fake.MediumFakeDriver"
        ADMIN_API = True
        TIMEOUT_SCALING_FACTOR = 0

        def _setup_services(self) -> None:
            # The wheel installs it there; the harness looks for it in a source tree.
            self.flags(api_paste_config=os.path.join(sys.prefix, "etc/nova/api-paste.ini"), group="wsgi")  # noqa: PTH118 - nova takes text
            super()._setup_services()

        def test_serve(self) -> None:
            nova = self.api_fixture.app()

            def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
                environ |= {
                    "HTTP_X_AUTH_USER": "fake",
                    "HTTP_X_AUTH_PROJECT_ID": self.api_fixture.project_id,
                    "HTTP_X_ROLES": "reader,member",
                }
                answered: Iterable[bytes] = nova(environ, start)
                return answered

            make_server("127.0.0.1", int(os.environ["PORT"]), answer, server_class=Server).serve_forever()

    return Emulation


if __name__ == "__main__":
    case = harness()
    unittest.TextTestRunner().run(case("test_serve"))
