"""The log of requests that a simulated API has seen."""

from collections import deque
from datetime import UTC, datetime

import msgspec

from pipeline.sandbox.window import Clock

#: Enough for any load test, and bounded: some 30 MB when full.
KEPT = 100_000


class LoggedRequest(msgspec.Struct, kw_only=True):
    """One request; written down when it arrives, completed when its answer leaves."""

    #: arrival, seconds since 1970
    at: float
    time: str
    method: str
    path: str
    query: str
    #: None while under way, and for good when no answer reached the client
    status: int | None = None
    #: the kind of fault that struck it
    fault: str | None = None


class RequestLog:
    """The newest requests in the order of their arrival."""

    def __init__(self, clock: Clock) -> None:
        self.total = 0
        self._clock = clock
        self._entries: deque[LoggedRequest] = deque(maxlen=KEPT)

    def open(self, method: str, path: str, query: str) -> LoggedRequest:
        """Writes a request down; the caller fills in what became of it."""
        at = self._clock()
        time = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
        entry = LoggedRequest(at=at, time=time, method=method, path=path, query=query)
        self._entries.append(entry)
        self.total += 1
        return entry

    def entries(self) -> list[LoggedRequest]:
        """All that is kept."""
        return list(self._entries)

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self.total = 0
