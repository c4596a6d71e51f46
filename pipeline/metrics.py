"""Counts what happens, and writes it as Prometheus reads it (text format 0.0.4).

What happens for every webhook is counted in plain numbers: a library's counter with labels and a
lock takes a noticeable part of the time of taking one in. The library writes them down when asked.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST

#: Upper bounds in seconds: of an answer to ROLLER, which wants one within a second; of a commit; of
#: a request to a peer.
_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

#: A label's value where there was no answer.
NO_STATUS = "none"

#: Values, each with what its labels say.
Values = Iterable[tuple[tuple[str, ...], float]]


class Histogram:
    """Counts values by the bucket they fall into."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Give how many values are at most each bound, and the sum of all."""
        found, below = [], 0
        for bound, count in zip((*self._bounds, None), self._counts, strict=True):
            below += count
            found.append(("+Inf" if bound is None else f"{float(bound)}", float(below)))
        return found, self._sum


class Meters:
    """What is counted while the daemon runs."""

    def __init__(self) -> None:
        #: By source, kind and result.
        self.events: Counter[tuple[str, str, str]] = Counter()
        self.ack_seconds = Histogram(_QUICK)
        self.commit_seconds = Histogram(_QUICK)
        self.commit_rows = Histogram(_ROWS)
        #: By peer, method and status.
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self._request_seconds: dict[str, Histogram] = {}
        #: Called for each request to a peer, once it has left.
        self.sent: Callable[[str], None] = lambda _: None
        #: Counters against rows, as last counted; None before that.
        self.difference: int | None = None

    def committed(self, seconds: float, rows: int) -> None:
        """Count a transaction."""
        self.commit_seconds.observe(seconds)
        self.commit_rows.observe(rows)

    def requested(self, peer: str, method: str, status: int | None, since: float) -> None:
        """Count a request that was sent at `since`, by time.perf_counter."""
        self.requests[peer, method, NO_STATUS if status is None else str(status)] += 1
        histogram = self._request_seconds.setdefault(peer, Histogram(_SLOW))
        histogram.observe(time.perf_counter() - since)

    def families(self) -> Iterator[Metric]:
        """Give what has been counted."""
        yield counter(
            "pipeline_events", "Webhooks by what became of them.", ("source", "kind", "result"),
            self.events.items(),
        )  # fmt: skip
        yield _histogram("pipeline_ack_seconds", "Until a webhook was on disk.", self.ack_seconds)
        yield _histogram("pipeline_commit_seconds", "Time of a transaction.", self.commit_seconds)
        yield _histogram("pipeline_commit_rows", "Rows of a transaction.", self.commit_rows)
        yield counter(
            "pipeline_requests",
            "Requests to peers.",
            ("peer", "method", "status"),
            self.requests.items(),
        )
        waits = HistogramMetricFamily(
            "pipeline_request_seconds", "Until a peer had answered.", labels=("peer",)
        )
        for peer, histogram in self._request_seconds.items():
            buckets, total = histogram.buckets()
            waits.add_metric((peer,), buckets, total)
        yield waits


def gauge(name: str, about: str, labels: Sequence[str], values: Values) -> Metric:
    """Make a gauge of values by their labels."""
    made = GaugeMetricFamily(name, about, labels=labels)
    for labelled, value in values:
        made.add_metric(labelled, value)
    return made


def counter(name: str, about: str, labels: Sequence[str], values: Values) -> Metric:
    """Make a counter of values by their labels; its name is given without _total."""
    made = CounterMetricFamily(name, about, labels=labels)
    for labelled, value in values:
        made.add_metric(labelled, value)
    return made


def exposition(families: Iterable[Metric]) -> bytes:
    """Write metrics down."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(list(families)))
    return generate_latest(registry)


class _Given:
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _histogram(name: str, about: str, histogram: Histogram) -> Metric:
    buckets, total = histogram.buckets()
    return HistogramMetricFamily(name, about, buckets=buckets, sum_value=total)
