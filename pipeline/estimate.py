"""Says when work will be done, as far as the allowance decides it: arithmetic, and nothing else.

It is a reckoning and no promise: what is still to come in is not in it, nor what will fail.
"""

from collections.abc import Iterable

from msgspec import Struct

from pipeline.model import DeliveryKind, Priority
from pipeline.outbox import Owed

#: Requests of a delivery. A guest is looked up first, and then made or changed; whoever is told
#: without a look-up costs one less.
_REQUESTS = {DeliveryKind.GUEST: 2}


class Pace(Struct, frozen=True, kw_only=True):
    """How fast a destination may be told."""

    #: Requests that a window may have now, those among them that what is not urgent leaves, and
    #: those that are used.
    allowed: int
    spared: int
    used: int
    #: Seconds of a window.
    per_s: float
    #: Seconds until anything may go at all.
    pause_s: float = 0.0
    #: Seconds until the first of the used requests leaves the window; None for an even spread.
    next_slot_s: float | None = None


class Load(Struct, frozen=True, kw_only=True):
    """Requests that are to be sent: the urgent ones, and the others that go after them."""

    urgent: float = 0.0
    lesser: float = 0.0


def load(owed: Iterable[Owed], *, until: tuple[int, float] | None = None) -> Load:
    """Add up the requests of what is owed.

    With `until` only of what goes before a delivery: the classes before its own, and such a part of
    its own.
    """
    urgent = lesser = 0.0
    for one in owed:
        share = 1.0
        if until is not None:
            priority, part = until
            share = 1.0 if one.priority < priority else part if one.priority == priority else 0.0
        requests = one.n * _REQUESTS.get(one.kind, 1) * share
        if one.priority <= Priority.URGENT:
            urgent += requests
        else:
            lesser += requests
    return Load(urgent=urgent, lesser=lesser)


def seconds(pace: Pace, work: Load) -> float:
    """Tell how long it takes until the last of these requests leaves.

    What is urgent takes what is left at once, and then what comes free: from when the first does, a
    window's requests in a window. The others are spaced from the first one on, and leave what they
    spare.
    """
    left = max(pace.allowed - pace.used, 0)
    interval = pace.per_s / pace.allowed
    taken = pace.pause_s + _coming(work.urgent - left, interval, pace.next_slot_s)
    if not work.lesser:
        return taken
    spared = min(pace.spared, pace.allowed - 1)
    free = min(max(left - work.urgent - spared, 0.0), work.lesser)
    spaced = max(free - 1, 0.0) * interval
    first = None if free or work.urgent > left else pace.next_slot_s
    rate = pace.per_s / (pace.allowed - spared)
    return taken + spaced + _coming(work.lesser - free, rate, first)


def _coming(requests: float, interval: float, first: float | None) -> float:
    """Tell when so many slots have come free, the first of them after `first` seconds."""
    if requests <= 0:
        return 0.0
    if first is None:
        return requests * interval
    return first + max(requests - 1, 0.0) * interval
