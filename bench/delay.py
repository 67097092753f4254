"""A TCP proxy that makes a network longer: each byte takes half a round trip, and so does each step of the handshake.

Delays, never limits: what follows within a packet's flight is not held back by it. For machines without `netem`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["delayed"]

CHUNK = 64 * 1024


@contextmanager
def delayed(address: str, port: int, *, round_trip: float) -> Iterator[int]:
    """Give a port of 127.0.0.1 that leads to `address`, `round_trip` seconds away."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="bench-delay", daemon=True)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(_serve(address, port, round_trip), loop).result()
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _serve(address: str, port: int, round_trip: float) -> asyncio.Server:
    async def caller(from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        await asyncio.sleep(round_trip)  # SYN and its answer, which the loopback gave for nothing
        try:
            from_host, to_host = await asyncio.open_connection(address, port)
        except OSError:
            to_client.close()
            return
        await asyncio.gather(
            _carry(from_client, to_host, round_trip / 2),
            _carry(from_host, to_client, round_trip / 2),
        )

    return await asyncio.start_server(caller, "127.0.0.1", 0)


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, one_way: float) -> None:
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        while data := await source.read(CHUNK):
            loop.call_later(one_way, target.write, data)
    loop.call_later(one_way, target.close)


async def _end() -> None:
    """Drop every connection: what still runs belongs to callers that are gone."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
