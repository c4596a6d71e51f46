"""`pipeline check`: what is wrong with the configuration, the machine and the peers."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct, field
from rich.markup import escape
from rich.table import Table

from pipeline.cli.common import (
    EXIT_FAILED,
    EXIT_UNAVAILABLE,
    Commands,
    add_command,
    configuration,
    console,
    print_json,
)
from pipeline.cli.peers import Peers, at_once, open_peers
from pipeline.clock import span
from pipeline.config import Config
from pipeline.findings import Finding, Verdict, ok, warning
from pipeline.outbox.held import is_held
from pipeline.probe import examine_machine

_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "red"}

_ABOUT = """\
Reads the configuration and the secrets it names, and prints every problem with its path.
Nobody is contacted, unless --online is given: then it also looks at this machine, and tries every
credential, endpoint, venue and webhook. It changes nothing, and may be used while the daemon runs:
its few requests to Stampede are counted in the allowance, and never take the reserve.

Exit codes: 0 nothing failed, 1 something did, 69 a peer cannot be reached, 78 the configuration is
wrong.
"""


class Line(Struct, frozen=True, kw_only=True):
    """A row of the table."""

    verdict: Verdict
    #: A path in the configuration, or "machine".
    where: str
    what: str = ""
    note: str
    advice: str = ""


class Report(Struct, frozen=True, kw_only=True):
    """The document that --json prints."""

    ok: bool
    online: bool
    checks: tuple[Line, ...]
    #: By peer: how many requests this check took.
    requests: Mapping[str, int] = field(default_factory=dict)


class _Result(Struct, frozen=True, kw_only=True):
    lines: tuple[Line, ...]
    requests: Mapping[str, int] = field(default_factory=dict)
    unreachable: bool = False


def add(commands: Commands) -> None:
    """Add the command."""
    made = add_command(
        commands, "check", "find what is wrong with the configuration, or with the peers", _ABOUT
    )
    made.add_argument("--online", action="store_true", help="look at this machine and the peers")
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> int:
    config = configuration(options)
    lines = tuple(_offline(config))
    result = _Result(lines=lines)
    if options.online:
        machine = _placed("machine", examine_machine(config, options.config))
        found = asyncio.run(_online(config))
        lines = (*lines, *machine, *found.lines)
        result = msgspec.structs.replace(found, lines=lines)
    failed = any(line.verdict is Verdict.FAILED for line in lines)
    report = Report(
        ok=not failed, online=options.online, checks=result.lines, requests=result.requests
    )
    if options.json:
        print_json(report)
    else:
        _print(report)
    if result.unreachable:
        return EXIT_UNAVAILABLE
    return EXIT_FAILED if failed else 0


def _offline(config: Config) -> Iterator[Line]:
    for name, source in config.sources.items():
        note = f"{source.type} at {source.base_url}"
        yield Line(verdict=Verdict.OK, where=f"sources.{name}", note=note)
    for name, destination in config.destinations.items():
        note = f"{destination.type}, takes {', '.join(destination.source_names())}"
        yield Line(verdict=Verdict.OK, where=f"destinations.{name}", note=note)
    for text in config.warnings():
        path, _, sentence = text.partition(": ")
        yield Line(verdict=Verdict.WARNING, where=path, note=sentence)


async def _online(config: Config) -> _Result:
    """Ask all peers at once."""
    async with open_peers(config) as peers:
        names = [
            *(f"sources.{name}" for name in peers.sources),
            *(f"destinations.{name}" for name in peers.destinations),
        ]
        found = await at_once(
            [
                *(_of_source(peers, name) for name in peers.sources),
                *(_of_destination(peers, name) for name in peers.destinations),
            ]
        )
        lines = [
            *(
                line
                for name, some in zip(names, found, strict=True)
                for line in _placed(name, some)
            ),
            *(line for name, one in _accounts(config, peers) for line in _placed(name, [one])),
            *_placed("machine", [_daemon(config, peers)]),
        ]
    return _Result(
        lines=tuple(lines),
        requests={name: peers.requests[name] for name in names},
        unreachable=any(one.unreachable for some in found for one in some),
    )


def _of_source(peers: Peers, name: str) -> Callable[[], Awaitable[Sequence[Finding]]]:
    return lambda: peers.ask_source(name, lambda source: source.examine())


def _of_destination(peers: Peers, name: str) -> Callable[[], Awaitable[Sequence[Finding]]]:
    return lambda: peers.ask_destination(name, lambda one: one.examine())


def _accounts(config: Config, peers: Peers) -> Iterator[tuple[str, Finding]]:
    """Tell how many requests it took of each destination's allowance, and who knows of them."""
    for name, destination in config.destinations.items():
        n = peers.requests.get(f"destinations.{name}", 0)
        note = f"this check took {n} of {destination.rate_limit.requests} requests"
        where = f"destinations.{name}"
        if not n:
            continue
        if not peers.is_recorded:
            per = span(float(destination.rate_limit.per))
            by = f"no outbox has them yet, so a daemon started within {per} knows of none"
        else:
            by = f"the {'running daemon' if peers.is_running else 'outbox'} has counted them"
        yield where, ok("allowance", f"{note}; {by}")


def _daemon(config: Config, peers: Peers) -> Finding:
    if peers.trouble:
        return warning("daemon", peers.trouble, "is server.admin of this configuration right?")
    if peers.is_running:
        return ok("daemon", f"runs, and answers at {config.server.admin}")
    if is_held(config.outbox.path):
        note = f"one holds {config.outbox.path}, and does not answer at {config.server.admin}"
        return warning("daemon", note, "is server.admin another one than when it was started?")
    return ok("daemon", f"does not run: nothing answers at {config.server.admin}")


def _placed(where: str, found: Iterable[Finding]) -> list[Line]:
    return [
        Line(verdict=one.verdict, where=where, what=one.what, note=one.note, advice=one.advice)
        for one in found
    ]


def _print(report: Report) -> None:
    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    groups: dict[str, list[Line]] = {}
    for line in report.checks:
        groups.setdefault(line.where, []).append(line)
    for where, lines in groups.items():
        if lines[0].what:
            table.add_row("", escape(where), "")
        for line in lines:
            verdict = f"[{_COLOURS[line.verdict]}]{line.verdict}[/]"
            text = f"{line.note}\n→ {line.advice}" if line.advice else line.note
            part = f"  {line.what}" if line.what else where
            table.add_row(verdict, escape(part), escape(text))
    console().print(table)
    if report.requests:
        spent = ", ".join(f"{name} {n}" for name, n in report.requests.items())
        console().print(f"Requests that this check took: {escape(spent)}", soft_wrap=True)
