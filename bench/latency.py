"""Owns a relay that answers late: before the first byte of every answer it waits, as a cloud does.

    python -m bench.latency UPSTREAM_PORT MILLISECONDS

It writes its own port to standard output, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

_CHUNK_BYTES = 256 * 1024


async def _serve(upstream_port: int, delay_s: float) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", upstream_port)
        asked_at = 0.0
        loop = asyncio.get_running_loop()

        async def forth() -> None:
            nonlocal asked_at
            while chunk := await reader.read(_CHUNK_BYTES):
                asked_at = asked_at or loop.time()
                up_writer.write(chunk)
                await up_writer.drain()
            up_writer.close()

        async def back() -> None:
            nonlocal asked_at
            while chunk := await up_reader.read(_CHUNK_BYTES):
                if asked_at:
                    await asyncio.sleep(max(0.0, asked_at + delay_s - loop.time()))
                    asked_at = 0.0
                writer.write(chunk)
                await writer.drain()
            writer.close()

        with contextlib.suppress(OSError):
            await asyncio.gather(forth(), back())

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]) / 1e3))
