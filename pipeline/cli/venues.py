"""`pipeline venues`: the venues of both sides, and the line that maps them."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from pipeline.cli.common import (
    EXIT_FAILED,
    EXIT_UNAVAILABLE,
    Commands,
    add_command,
    complain,
    configuration,
    console,
    print_json,
    table,
)
from pipeline.cli.peers import Peers, at_once, open_peers
from pipeline.config import Config
from pipeline.errors import Failure, Unreachable
from pipeline.plugin import Destination, ListedVenue, Source

_ABOUT = """\
Asks each source for its venue and each destination for its venues, prints them side by side, and
the line for config.toml that maps them. Until you know the serials, any 12 letters will do there.
"""


class Listing(Struct, frozen=True, kw_only=True):
    """The document that --json prints."""

    sources: Mapping[str, Sequence[ListedVenue]]
    destinations: Mapping[str, Sequence[ListedVenue]]
    #: By destination: the line for its table in config.toml.
    lines: Mapping[str, str]
    #: By destination: the sources for which no venue could be told.
    unmapped: Mapping[str, Sequence[str]]
    #: By peer: why it could not be asked.
    problems: Mapping[str, str]
    requests: Mapping[str, int]


class _Asked(Struct, frozen=True, kw_only=True):
    venues: Sequence[ListedVenue] = ()
    failure: Failure | None = None


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "list the venues of ROLLER and Stampede, and the line that maps them"
    made = add_command(commands, "venues", summary, _ABOUT)
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.set_defaults(command=_venues)


def _venues(options: argparse.Namespace) -> int:
    config = configuration(options)
    listing, code = asyncio.run(_list(config))
    if options.json:
        print_json(listing)
    else:
        _print(console(), listing)
    for name, reason in listing.problems.items():
        complain(f"{name}: {reason}")
    return code


async def _list(config: Config) -> tuple[Listing, int]:
    async with open_peers(config) as peers:
        names = [*peers.sources, *peers.destinations]
        asked = await at_once(
            [
                *(_of_source(peers, name) for name in peers.sources),
                *(_of_destination(peers, name) for name in peers.destinations),
            ]
        )
    half = len(peers.sources)
    sources = dict(zip(names[:half], asked[:half], strict=True))
    destinations = dict(zip(names[half:], asked[half:], strict=True))
    mappings = {
        name: match(
            {one: _first(sources[one]) for one in config.sources}, destinations[name].venues
        )
        for name in destinations
    }
    placed = {f"sources.{name}": one for name, one in sources.items()}
    placed |= {f"destinations.{name}": one for name, one in destinations.items()}
    failures = {where: one.failure for where, one in placed.items() if one.failure}
    listing = Listing(
        sources={name: one.venues for name, one in sources.items()},
        destinations={name: one.venues for name, one in destinations.items()},
        lines={
            name: _line(config.destinations[name].sources_key, mapping)
            for name, mapping in mappings.items()
            if mapping
        },
        unmapped={
            name: [one for one in config.sources if one not in mappings[name]]
            for name, one in destinations.items()
            if one.venues
        },
        problems={where: failure.reason for where, failure in failures.items()},
        requests={where: peers.requests[where] for where in placed},
    )
    if any(isinstance(failure, Unreachable) for failure in failures.values()):
        return listing, EXIT_UNAVAILABLE
    return listing, EXIT_FAILED if failures else 0


def match(
    sources: Mapping[str, ListedVenue | None], venues: Sequence[ListedVenue]
) -> dict[str, str]:
    """Give source → venue id: as configured where that venue exists, else by an equal name.

    One source and one venue belong together whatever they are called.
    """
    found = {source: venue.id for venue in venues for source in venue.sources}
    for source, theirs in sources.items():
        same = [v for v in venues if theirs and theirs.name and _plain(v) == _plain(theirs)]
        if source not in found and len(same) == 1 and same[0].id not in found.values():
            found[source] = same[0].id
    if not found and len(sources) == len(venues) == 1:
        found[next(iter(sources))] = venues[0].id
    return {source: found[source] for source in sources if source in found}


def _plain(venue: ListedVenue) -> str:
    return " ".join(venue.name.casefold().split())


def _line(key: str, mapping: Mapping[str, str]) -> str:
    pairs = ", ".join(f'{source} = "{serial}"' for source, serial in mapping.items())
    return f"{key} = {{ {pairs} }}"


def _first(asked: _Asked) -> ListedVenue | None:
    return asked.venues[0] if asked.venues else None


def _of_source(peers: Peers, name: str) -> Callable[[], Awaitable[_Asked]]:
    def listing(source: Source) -> Awaitable[Sequence[ListedVenue]]:
        return source.list_venues()

    return lambda: _asked(lambda: peers.ask_source(name, listing))


def _of_destination(peers: Peers, name: str) -> Callable[[], Awaitable[_Asked]]:
    def listing(destination: Destination) -> Awaitable[Sequence[ListedVenue]]:
        return destination.list_venues()

    return lambda: _asked(lambda: peers.ask_destination(name, listing))


async def _asked(ask: Callable[[], Awaitable[Sequence[ListedVenue]]]) -> _Asked:
    try:
        return _Asked(venues=await ask())
    except Failure as exc:
        return _Asked(failure=exc)


def _print(out: Console, listing: Listing) -> None:
    for name, venues in listing.destinations.items():
        shown = table("source", "its venue", "serial", f"venue of {name}")
        rest = list(venues)
        for source, theirs in listing.sources.items():
            ours = [venue for venue in venues if source in venue.sources]
            rest = [venue for venue in rest if venue not in ours]
            called = theirs[0].name if theirs else "?"
            for venue in ours or [ListedVenue(id="", name="not mapped to any of these")]:
                shown.add_row(*map(escape, (source, called, venue.id, venue.name)))
        for venue in rest:
            shown.add_row("", "", escape(venue.id), escape(venue.name))
        out.print(shown)
        if name in listing.lines:
            out.print(f"In config.toml, under \\[destinations.{name}]:")
            out.print(f"  {escape(listing.lines[name])}", soft_wrap=True)
        for source in listing.unmapped.get(name, ()):
            out.print(f"For {escape(source)} no venue has the same name: choose one.")
    spent = ", ".join(f"{name} {n}" for name, n in listing.requests.items())
    out.print(f"Requests that this took: {escape(spent)}", soft_wrap=True)
