"""Sends webhooks as fast as they are answered, and says how many were; a process of its own.

Plain non-blocking sockets and one selector, because a client library would cost more than the
server that is measured. No connection has more than one request under way. Prints a Traffic as
JSON.
"""

import selectors
import socket
import sys
import time
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from tests.benchmarks.message import new_key, parts

#: Seconds without any answer after which the server counts as hanging.
_SILENCE = 10.0

_READ = 65_536


class Orders(Struct, frozen=True, kw_only=True):
    """What to send where."""

    port: int
    path: str
    key: str
    connections: int
    #: It ends when either is reached; what is under way then is still waited for.
    seconds: float
    requests: int


class Traffic(Struct, frozen=True, kw_only=True):
    """What came of it."""

    answered: int
    #: Answers with another status than 200.
    refused: int
    #: From the first request to the last answer.
    seconds: float
    #: The share of that time for which this process was busy; near 1 it was the bottleneck.
    busy: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


def run(orders: Orders) -> Traffic:
    """Send until the time or the number is reached; TimeoutError when nothing is answered."""
    requests = _requests(orders)
    connections = [_connect(orders.port) for _ in range(orders.connections)]
    try:
        return _exchange(orders, requests, connections)
    finally:
        for connection in connections:
            connection.close()


def _exchange(
    orders: Orders, requests: Iterator[bytes], connections: list[socket.socket]
) -> Traffic:
    selector = selectors.DefaultSelector()
    begun, spent = time.perf_counter(), time.process_time()
    until = begun + orders.seconds
    for each in connections:
        selector.register(each, selectors.EVENT_READ, each)
        each.send(next(requests))
    sent, answered, refused = len(connections), 0, 0
    while answered < sent:
        ready = selector.select(_SILENCE)
        if not ready:
            raise TimeoutError("the server does not answer")
        going_on = time.perf_counter() < until
        for key, _ in ready:
            connection: socket.socket = key.data
            # An answer without a body is small enough to come in one piece.
            answered += 1
            refused += not connection.recv(_READ).startswith(b"HTTP/1.1 200 ")
            if going_on and sent < orders.requests:
                connection.send(next(requests))
                sent += 1
    took = time.perf_counter() - begun
    busy = (time.process_time() - spent) / took
    return Traffic(answered=answered, refused=refused, seconds=took, busy=busy)


def _requests(orders: Orders) -> Iterator[bytes]:
    """Make requests that differ only in their ids."""
    before, *rest = parts()
    length = sum(map(len, (before, *rest))) + len(rest) * len(new_key())
    head = (
        f"POST {orders.path} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{orders.port}\r\n"
        f"x-roller-apikey: {orders.key}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    pieces = [head.encode() + before, *rest]
    while True:
        yield new_key().encode().join(pieces)


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=_SILENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)
    return connection


def main() -> None:
    """Follow the orders that are the one argument."""
    traffic = run(msgspec.json.decode(sys.argv[1], type=Orders))
    sys.stdout.write(msgspec.json.encode(traffic).decode())


if __name__ == "__main__":
    main()
