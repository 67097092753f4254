"""An HTTP proxy on loopback that knows CONNECT (RFC 9110, 9.3.6) and can misbehave; it keeps all that clients send through it.

Bytes only: it opens no TLS, so whatever it could read of a client's, anybody on the way could.
"""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class ConnectProxy:
    """`login`: the only `user:password` let through. `says`: an answer in place of a tunnel. `instead`: where it leads in truth."""

    login: str = ""
    says: bytes = b""
    instead: tuple[str, int] | None = None
    port: int = 0
    heads: list[str] = field(default_factory=list)
    heard: bytearray = field(default_factory=bytearray)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # closed: the test is over
            threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (got := client.recv(65536)):
                    return
                head += got
            self.heads.append(head.decode("latin-1"))
            known = f"Proxy-Authorization: Basic {base64.b64encode(self.login.encode()).decode()}"
            if self.says:
                client.sendall(self.says)
            elif self.login and known not in self.heads[-1]:
                client.sendall(b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
            else:
                host, _, port = self.heads[-1].split()[1].rpartition(":")
                self._lead(client, self.instead or (host, int(port)))

    def _lead(self, client: socket.socket, to: tuple[str, int]) -> None:
        try:
            server = socket.create_connection(to, timeout=10)
        except OSError:
            client.sendall(b"HTTP/1.1 502 Not there\r\nContent-Length: 0\r\n\r\n")
            return
        with server:
            client.sendall(b"HTTP/1.1 200 Go on\r\n\r\n")
            back = threading.Thread(target=_copy, args=(server, client, None), daemon=True)
            back.start()
            _copy(client, server, self.heard)
            back.join()


def _copy(source: socket.socket, to: socket.socket, kept: bytearray | None) -> None:
    try:
        while got := source.recv(65536):
            if kept is not None:
                kept += got
            to.sendall(got)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one side is gone; the other notices


@contextmanager
def connect_proxy(**how: object) -> Iterator[ConnectProxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = ConnectProxy(port=listener.getsockname()[1], **how)  # type: ignore[arg-type]  # the fields above
        thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # or accept() would sleep on
    thread.join()
