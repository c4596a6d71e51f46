"""Faults that a simulated API has been told to commit."""

import random
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec

from pipeline.sandbox.answers import Document

_KINDS = r"^([45]\d\d|timeout|reset|garbage|slow)$"


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/faults` takes."""

    #: an error status such as "500" or "429", or: timeout (never an answer), reset (the connection
    #: is aborted), garbage (200 with a body that is not JSON), slow (the answer after `delay`)
    kind: Annotated[str, msgspec.Meta(pattern=_KINDS)]
    #: the share of requests that it strikes
    rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    #: how many it strikes in all; None for no end
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    #: how the path must begin; `*` or `…` stands for anything
    path: str = ""
    method: str | None = None
    #: True: the request takes its effect and only the answer is lost
    after: bool = False
    #: seconds, for slow
    delay: Annotated[float, msgspec.Meta(ge=0)] = 2.0
    #: for a status: its message repeats the request's body
    quotes: bool = False
    #: value of the header `Retry-After`, seconds or a date, for a status
    retry_after: int | str | None = None

    def matches(self, method: str, path: str) -> bool:
        """Whether it concerns this request."""
        pattern = self.path.replace("…", "*").rstrip("*") + "*"
        return self.method in (None, method) and fnmatchcase(path, pattern)


class _Active:
    """A fault with the number of requests that it has struck."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.struck = 0

    def spent(self) -> bool:
        return self.fault.count is not None and self.struck >= self.fault.count


class Faults:
    """The active faults; the first one that concerns a request and draws it strikes."""

    def __init__(self) -> None:
        self._active: list[_Active] = []
        self._random = random.Random(0)

    def add(self, fault: Fault) -> None:
        """Activates one more fault."""
        self._active.append(_Active(fault))

    def clear(self) -> None:
        """Ends all faults; the draws begin anew."""
        self._active.clear()
        self._random.seed(0)

    def draw(self, method: str, path: str) -> Fault | None:
        """The fault that strikes this request, or None."""
        for active in self._active:
            if active.spent() or not active.fault.matches(method, path):
                continue
            if self._random.random() < active.fault.rate:
                active.struck += 1
                return active.fault
        return None

    def state(self) -> list[Document]:
        """Every fault with the number of requests that it struck, spent ones included."""
        return [{**msgspec.to_builtins(a.fault), "struck": a.struck} for a in self._active]
