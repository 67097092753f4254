"""What hosts of these tests fetch and unpack: a web server on loopback that keeps count, and archives, honest and hostile."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import ssl
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote

__all__ = ["HONEST", "Web", "archive", "web"]

Member = tuple[str, bytes, str]
"""Name, type as tarfile names it, content or target."""
WHEN = 1_700_000_000
PACK: Mapping[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gz": lambda data: gzip.compress(data, mtime=0),  # or its digest would be of this second
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
HONEST: Sequence[Member] = (
    ("tool-1.0/", tarfile.DIRTYPE, ""),
    ("tool-1.0/bin/run", tarfile.REGTYPE, "#!/bin/sh\n"),
    ("tool-1.0/it's $(a) name\t\\n-", tarfile.REGTYPE, "odd"),
    ("tool-1.0/ünï", tarfile.REGTYPE, ""),
    ("tool-1.0/current", tarfile.SYMTYPE, "bin/run"),
    ("tool-1.0/same", tarfile.LNKTYPE, "tool-1.0/bin/run"),
    ("-dash", tarfile.REGTYPE, "dash"),
    ("deep/er/file", tarfile.REGTYPE, "no entries of its folders"),
)


def archive(members: Sequence[Member] = HONEST, compression: str = "gz") -> bytes:
    """A tar archive; files of mode 0750 that belong to 1234:4321, as if somebody else had built it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, kind, content in members:
            about = tarfile.TarInfo(name)
            about.type, about.mtime, about.mode, about.uid, about.gid = kind, WHEN, 0o750, 1234, 4321
            if kind == tarfile.REGTYPE:
                about.size = len(content.encode())
                tar.addfile(about, io.BytesIO(content.encode()))
            else:
                about.linkname = content
                tar.addfile(about)
    return PACK[compression](made.getvalue())


@dataclass
class Web:
    """`files` by path; a str redirects there, None breaks off in the middle. `asked` are the paths of all requests,
    `passwords` what they held to log in with."""

    url: str = ""
    files: dict[str, bytes | str | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)


@contextmanager
def web(certificate: Path | None = None) -> Iterator[Web]:
    """On TLS with a `certificate`, a PEM file that holds its key too."""
    made = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path)  # wget sends { as %7B, curl as it is
            made.asked.append(path)
            made.passwords += self.headers.get_all("Authorization", [])
            content = made.files.get(path, b"")
            if isinstance(content, str):
                self.send_response(302)
                self.send_header("Location", content)
                self.send_header("Content-Length", "0")
            elif path not in made.files:
                self.send_response(404)
                self.send_header("Content-Length", "0")
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(9 if content is None else len(content)))
            self.end_headers()
            self.wfile.write(b"half" if content is None else content if isinstance(content, bytes) else b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - so it is called there
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        made.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
