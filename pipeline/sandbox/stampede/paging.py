"""Lists in pages, with links that are cursor values and not addresses, as at the vendor."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from aiohttp import web

from pipeline.sandbox.answers import Document, Refused


class Identified(Protocol):
    """What can stand in a list."""

    @property
    def id(self) -> str: ...


Row = TypeVar("Row", bound=Identified)


def page(
    request: web.Request,
    rows: Sequence[Row],
    show: Callable[[Row], Document],
    default_limit: int | None,
) -> Document:
    """One page of `rows`; a cursor is the id of the first row of its page."""
    ids = [row.id for row in rows]
    limit = _limit(request, default_limit) or max(len(rows), 1)
    start = _start(ids, request.query.get("cursor"))
    starts = range(start % limit, len(ids), limit)

    def cursor(at: int) -> str | None:
        return ids[at] if 0 <= at < len(ids) else None

    links = {
        "first": cursor(0),
        "last": cursor(starts[-1]) if starts else None,
        "next": cursor(start + limit),
        "prev": cursor(max(start - limit, 0)) if start else None,
    }
    return {"data": [show(row) for row in rows[start : start + limit]], "links": links}


def _limit(request: web.Request, default: int | None) -> int | None:
    asked = request.query.get("limit")
    if asked is None:
        return default
    if not asked.isdecimal() or int(asked) < 1:
        raise Refused(400, ["limit must be a positive number"])
    return int(asked)


def _start(ids: Sequence[str], cursor: str | None) -> int:
    if cursor is None:
        return 0
    if cursor not in ids:
        raise Refused(400, ["cursor is not known"])
    return ids.index(cursor)
