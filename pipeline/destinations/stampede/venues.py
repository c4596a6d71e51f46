"""Lists Stampede's venues, and judges whether the mapped serials are among them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol
from urllib.parse import quote

import msgspec
from msgspec import Struct

from pipeline.destinations.stampede.replies import next_cursor
from pipeline.destinations.stampede.settings import StampedeSettings
from pipeline.errors import Failure, Reject, Retry, Throttled, Unauthorized, Unreachable
from pipeline.findings import Finding, failed, fault, ok
from pipeline.plugin import ListedVenue
from pipeline.redact import printable

PATH = "/v1/venues"
_CALLED = f"GET {PATH}"
#: A peer that never ends its list must not spend the allowance.
_MOST_PAGES = 20

_TOKEN = ok("token", "Stampede takes the client id and secret")


class _Venue(Struct, frozen=True):
    id: str
    name: str | None = None


class _Links(Struct, frozen=True):
    next: str | None = None


class _Page(Struct, frozen=True):
    data: list[_Venue]
    links: _Links | None = None


_page = msgspec.json.Decoder(_Page)


class Forbidden(Reject):
    """Stampede answered 403."""


class Asked(Protocol):
    """What is needed of the client for a list."""

    async def fetch(self, path: str, query: str = "") -> bytes:
        """Ask, with a token that is fetched if need be; raises for any answer but a success."""


class Peer(Asked, Protocol):
    """What is needed of the client to examine it."""

    def authorised(self) -> bool:
        """Tell whether a token is at hand."""

    async def authorise(self) -> None:
        """Fetch a token; Unauthorized when the credentials are refused."""


async def fetch_venues(peer: Asked, mapped: Mapping[str, str]) -> Sequence[ListedVenue]:
    """Ask for all pages: one without `limit`, unless the answer says that there are more."""
    found: dict[str, ListedVenue] = {}
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        query = f"cursor={quote(cursor, safe='')}" if cursor else ""
        try:
            page = _page.decode(await peer.fetch(PATH, query))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise Retry(f"Stampede answered {PATH} without a list of venues") from exc
        for venue in page.data:
            sources = tuple(name for name, serial in mapped.items() if serial == venue.id)
            found[venue.id] = ListedVenue(
                id=printable(venue.id), name=printable(venue.name or ""), sources=sources
            )
        cursor = next_cursor(page.links.next if page.links else None)
        if cursor is None:
            return tuple(found.values())
    raise Reject(f"Stampede's list of venues does not end within {_MOST_PAGES} pages")


async def examine(peer: Peer, name: str, settings: StampedeSettings) -> Sequence[Finding]:
    """Try the credentials and the serials; the calls that change something are not tried."""
    where = f"destinations.{name}"
    asked = "token"
    try:
        if not peer.authorised():
            await peer.authorise()
        asked = _CALLED
        venues = await fetch_venues(peer, settings.venues)
    except Unauthorized as exc:
        advice = f"compare {where}.client_id and .client_secret with Marketplace > API Keys"
        return [failed("token", exc.reason, advice)]
    except Unreachable as exc:
        return [fault("connection", exc, base_url=settings.base_url)]
    except Forbidden as exc:
        note = f"{exc.reason}: the key lacks the permission"
        advice = f"make a key at Marketplace > API Keys that may use {_CALLED}"
        return [_TOKEN, failed(_CALLED, note, advice)]
    except Throttled as exc:
        return [fault(_CALLED, exc, base_url=settings.base_url)]
    except Failure as exc:
        return [fault(asked, exc, base_url=settings.base_url)]
    return [
        _TOKEN,
        ok(_CALLED, "the key may ask; calls that would change something are not tried"),
        *_judge(venues, where, settings),
    ]


def _judge(
    venues: Sequence[ListedVenue], where: str, settings: StampedeSettings
) -> Iterator[Finding]:
    known = {venue.id: venue.name for venue in venues}
    for source, serial in settings.venues.items():
        what = f"venues.{source}"
        if serial in known:
            yield ok(what, f"{serial} is {known[serial] or 'a venue without a name'}")
            continue
        cased = next((one for one in known if one.lower() == serial.lower()), None)
        advice = f'write {where}.{what} = "{cased}"' if cased else "`pipeline venues` lists them"
        note = f"{serial} is none of the {len(known)} venues of this API key's organisation"
        yield failed(what, note, advice)
