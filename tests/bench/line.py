#!/usr/bin/env python3
"""line.py --to PORT [--rate BITS] [--delay SECONDS]: a TCP line from a port of the loopback, which it prints, to another.

All connections share its rate, each way by itself; `delay` is that of a round trip, which opening a connection costs too. The
line is kinder than a real one: no slow start, no loss."""
import argparse
import asyncio
import contextlib

PIECE = 16 << 10
SLACK = 0.004  # seconds that a piece may be ahead of the line's end: the clock of sleeps is that coarse


class Way:
    """One direction: what goes through it leaves at the line's rate and comes after the delay."""

    def __init__(self, rate, delay):
        self.rate, self.delay, self.free = rate / 8, delay, 0.0

    def send(self, size, earliest):
        """Time at which so many bytes are over there."""
        self.free = max(self.free, earliest) + size / self.rate
        return self.free + self.delay


async def until(when):
    left = when - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.sleep(left)


async def take(reader, queue, way, opened):
    """Takes pieces no faster than the line, and notes when each is over there."""
    clock = asyncio.get_running_loop().time
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(PIECE):
            queue.put_nowait((way.send(len(piece), max(clock(), opened)), piece))
            await until(way.free - SLACK)
    queue.put_nowait((clock() + way.delay, b""))


async def give(queue, writer):
    with contextlib.suppress(ConnectionError):
        while True:
            when, piece = await queue.get()
            await until(when)
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def connection(client, out, port, up, down, delay):
    opened = asyncio.get_running_loop().time() + delay
    try:
        server, to_server = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        out.close()
        return
    there, back = asyncio.Queue(), asyncio.Queue()
    jobs = [asyncio.ensure_future(j) for j in (take(client, there, up, opened), give(there, to_server),
                                               take(server, back, down, 0), give(back, out))]
    try:
        await jobs[1]
        await jobs[3]
    finally:
        for job in jobs:
            job.cancel()
        out.close()
        to_server.close()


async def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--to", type=int, required=True)
    p.add_argument("--rate", type=float, default=100e6)
    p.add_argument("--delay", type=float, default=0.03)
    o = p.parse_args()
    up, down = Way(o.rate, o.delay / 2), Way(o.rate, o.delay / 2)

    async def accept(reader, writer):
        await connection(reader, writer, o.to, up, down, o.delay)
    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
