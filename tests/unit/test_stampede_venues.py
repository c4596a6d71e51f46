"""Stampede's list of venues, which comes in pages or not."""

from typing import Any

import msgspec
import pytest

from pipeline.destinations.stampede.venues import fetch_venues
from pipeline.errors import Reject, Retry


class _Peer:
    """Answers one page after the other, and remembers what was asked for."""

    def __init__(self, *pages: Any) -> None:
        self._pages = list(pages)
        self.asked: list[str] = []

    async def fetch(self, path: str, query: str = "") -> bytes:
        self.asked.append(query)
        page = self._pages[min(len(self.asked), len(self._pages)) - 1]
        return page if isinstance(page, bytes) else msgspec.json.encode(page)


def _page(serial: str, following: str | None) -> Any:
    return {"data": [{"id": serial, "name": None}], "links": {"next": following}}


@pytest.mark.parametrize(
    ("link", "query"),
    [
        ("c25502f3-a736", "cursor=c25502f3-a736"),
        ("a&b=c", "cursor=a%26b%3Dc"),
        ("https://global.stampede.ai/v1/venues?limit=5&cursor=c2%2B5", "cursor=c2%2B5"),
        ("http://[x?cursor=1#y", "cursor=1"),
    ],
)
async def test_a_link_is_a_cursor_or_an_address_with_one(link: str, query: str) -> None:
    """Stampede's help shows the first; an address is never followed as such."""
    peer = _Peer(_page("A", link), _page("B", None))
    venues = await fetch_venues(peer, {"leeds": "B", "york": "B"})
    assert [(venue.id, venue.sources) for venue in venues] == [("A", ()), ("B", ("leeds", "york"))]
    assert peer.asked == ["", query]


async def test_without_links_there_is_one_page() -> None:
    """One request is all that it takes then."""
    peer = _Peer({"data": []})
    assert await fetch_venues(peer, {}) == ()
    assert peer.asked == [""]


async def test_a_list_without_end_is_left() -> None:
    """It would spend the whole allowance."""
    peer = _Peer(_page("A", "again"))
    with pytest.raises(Reject, match="does not end within 20 pages"):
        await fetch_venues(peer, {})
    assert len(peer.asked) == 20


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"data": [{}]}', b"\xff"])
async def test_what_is_no_list_is_told(body: bytes) -> None:
    """A proxy's page is not an organisation without venues."""
    with pytest.raises(Retry, match="without a list of venues"):
        await fetch_venues(_Peer(body), {})
