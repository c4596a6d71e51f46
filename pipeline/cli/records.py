"""`pipeline events` and `pipeline deliveries`: what came in, and what is owed."""

import argparse
import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.cli.common import (
    EXIT_FAILED,
    EXIT_UNAVAILABLE,
    Commands,
    add_command,
    agreed,
    complain,
    configuration,
    console,
    print_json,
    table,
)
from pipeline.client import Refused, call, fetch_status
from pipeline.clock import SystemClock
from pipeline.config import Config
from pipeline.desk import Batch, Desk
from pipeline.errors import OutboxBusy, PipelineError
from pipeline.model import DeliveryState, EventState
from pipeline.outbox import Changed, Records, Row
from pipeline.outbox.sqlite import open_outbox, read_outbox

_IN_DOUBT = "unknown outcome"


class _Kind(Struct, frozen=True, kw_only=True):
    """Of what there are records."""

    name: str
    one: str
    letter: str
    owner: str
    states: Sequence[str]
    columns: Sequence[str]
    #: Of these, what a narrow terminal has no room for.
    spare: Collection[str]
    detail: str
    detail_columns: Sequence[str]
    detail_spare: Collection[str]


_EVENTS = _Kind(
    name="events",
    one="event",
    letter="e",
    owner="source",
    states=[state.value for state in EventState],
    columns=("id", "source", "kind", "action", "reference", "state", "reason", "received_at"),
    spare={"kind", "action"},
    detail="deliveries",
    detail_columns=("id", "destination", "kind", "state", "reason", "updated_at"),
    detail_spare={"updated_at"},
)
_DELIVERIES = _Kind(
    name="deliveries",
    one="delivery",
    letter="d",
    owner="destination",
    states=[state.value for state in DeliveryState],
    columns=("id", "destination", "kind", "reference", "state", "reason", "attempts", "due_at"),
    spare={"attempts", "due_at"},
    detail="attempts",
    detail_columns=("id", "at", "method", "path", "status", "outcome", "note"),
    detail_spare={"id", "outcome"},
)

_RETRY = "Says how many it will touch, and asks first."
_DROP = {
    "events": """\
Says how many it will touch, and asks first. What is dropped is ignored from now on; a newer event
of the booking is processed all the same.
""",
    "deliveries": """\
Says how many it will touch, and asks first. What waits for a guest goes with it. A newer event of
the booking is sent all the same; but a registration that parked with unknown outcome counts as done
from then on, and its booking is not registered again.
""",
}

#: Columns of a terminal on which all of a table has room.
_ROOMY = 100

#: What people copy is not broken; a reference only if it is longer than so many characters.
_UNBROKEN = {"id", "reference", "state"}
_LONGEST = 24

_STYLES = {"parked": "red", "waiting": "yellow", "done": "green", "delivered": "green"}


def add(commands: Commands) -> None:
    """Add both commands."""
    for kind, summary in (
        (_EVENTS, "see what came in; retry or drop it"),
        (_DELIVERIES, "see what is owed to destinations; retry or drop it"),
    ):
        made = add_command(
            commands,
            kind.name,
            summary,
            f"Lists, shows, retries and drops {kind.name}, with the daemon running or not.",
        )
        actions = made.add_subparsers(title="actions", metavar="ACTION", required=True)
        _add_list(actions, kind)
        _add_show(actions, kind)
        _add_change(actions, kind, "retry", "try again, at once", _RETRY)
        _add_change(actions, kind, "drop", "let go: nothing more is done for it", _DROP[kind.name])


def _add_list(actions: Commands, kind: _Kind) -> None:
    summary = f"list {kind.name}, the newest first"
    made = add_command(actions, "list", summary, "", within=True)
    made.add_argument("--state", choices=kind.states, metavar="STATE", help=", ".join(kind.states))
    made.add_argument(f"--{kind.owner}", metavar="NAME", help=f"of this {kind.owner} only")
    if kind is _DELIVERIES:
        made.add_argument("--reason", metavar="TEXT", help="whose reason has this text in it")
    made.add_argument(
        "--limit", type=_limit, default=50, metavar="N", help="at most so many, 50 if not given"
    )
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.set_defaults(command=_list, kind=kind, reason=None)


def _add_show(actions: Commands, kind: _Kind) -> None:
    made = add_command(
        actions,
        "show",
        f"show one {kind.one} and its {kind.detail}",
        "`pipeline explain` says why.",
        within=True,
    )
    made.add_argument("id", metavar="ID", help=f"such as {kind.letter}5")
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.set_defaults(command=_show, kind=kind)


def _add_change(actions: Commands, kind: _Kind, name: str, summary: str, about: str) -> None:
    made = add_command(actions, name, summary, about, within=True)
    made.add_argument("ids", metavar="ID", nargs="*", help=f"such as {kind.letter}5")
    if name == "retry":
        made.add_argument(
            "--state", choices=["parked"], metavar="parked", help="all that are parked"
        )
        made.add_argument(
            f"--{kind.owner}", metavar="NAME", help=f"with --state: of this {kind.owner}"
        )
    made.add_argument("--yes", action="store_true", help="do not ask")
    made.set_defaults(command=_change, kind=kind, action=name, parser=made)


def _limit(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= 1000:  # noqa: PLR2004
        raise argparse.ArgumentTypeError("a number from 1 to 1000")
    return int(text)


def _list(options: argparse.Namespace) -> int:
    config, kind = configuration(options), options.kind
    found = asyncio.run(_read(config, lambda records: _listed(records, options)))
    if options.json:
        print_json(found)
    elif not found:
        console().print(f"There are no {kind.name} like that.")
    else:
        out = console()
        out.print(_table(out, found, kind.columns, kind.spare))
    return 0


async def _listed(records: Records, options: argparse.Namespace) -> list[Row]:
    if options.kind is _EVENTS:
        return await records.events(state=options.state, source=options.source, limit=options.limit)
    return await records.deliveries(
        state=options.state,
        destination=options.destination,
        reason=options.reason,
        limit=options.limit,
    )


def _show(options: argparse.Namespace) -> int:
    config, kind = configuration(options), options.kind
    number = _number(options.id, kind)

    async def shown(records: Records) -> Row | None:
        return await (records.event(number) if kind is _EVENTS else records.delivery(number))

    row = asyncio.run(_read(config, shown))
    if row is None:
        raise PipelineError(f"there is no {kind.one} {kind.letter}{number}")
    if options.json:
        print_json(row)
        return 0
    out = console()
    details = row.pop(kind.detail)
    facts = Table.grid(padding=(0, 2))
    for name, value in row.items():
        if value is not None:
            facts.add_row(name, _styled(name, value))
    out.print(facts)
    if details:
        out.print(_table(out, details, kind.detail_columns, kind.detail_spare))
    return 0


async def _read(config: Config, ask: Callable[[Records], Any]) -> Any:
    """Read the outbox's file: that needs no daemon, and does not disturb one."""
    async with read_outbox(config.outbox.path) as outbox:
        return await ask(outbox.records)


def _change(options: argparse.Namespace) -> int:
    config, kind = configuration(options), options.kind
    in_bulk = getattr(options, "state", None) is not None
    if in_bulk == bool(options.ids):
        options.parser.error(_misused(options.action, in_bulk=in_bulk))
    numbers = [_number(text, kind) for text in options.ids]
    owner = getattr(options, kind.owner, None)
    if owner is not None and not in_bulk:
        options.parser.error(f"--{kind.owner} goes with --state")
    if not options.yes and sys.stdin.isatty():
        count = asyncio.run(_count(config, kind, owner)) if in_bulk else len(numbers)
        what = kind.one if count == 1 else kind.name
        if not agreed(f"This will {options.action} {count:,} {what}."):
            return EXIT_FAILED
    return asyncio.run(_do(config, kind, options.action, numbers, owner))


def _misused(action: str, *, in_bulk: bool) -> str:
    if in_bulk:
        return "not both: ids, and --state"
    return "give ids, or --state parked" if action == "retry" else "give ids: all cannot be dropped"


async def _count(config: Config, kind: _Kind, owner: str | None) -> int:
    """Count what a retry of all that is parked would touch."""
    async with read_outbox(config.outbox.path) as outbox:
        parked = sum(
            one.n
            for one in await outbox.overview.counts()
            if one.what == kind.one and one.state == "parked" and owner in {None, one.owner}
        )
        left_alone = await outbox.records.in_doubt(owner) if kind is _DELIVERIES else 0
    return parked - left_alone


async def _do(
    config: Config, kind: _Kind, action: str, numbers: Sequence[int], owner: str | None
) -> int:
    """Change things through the daemon, or, without one, on the outbox itself."""
    trouble: PipelineError | None = None
    try:
        answers = await fetch_status(config.server) is not None
    except PipelineError as exc:
        answers, trouble = False, exc
    if answers:
        ids, refused = await _through_daemon(config, kind, action, numbers, owner)
    else:
        try:
            async with _desk(config) as desk:
                ids, refused = await _by_ourselves(desk, kind, action, numbers, owner)
        except OutboxBusy as exc:
            if trouble is not None:
                raise trouble from exc
            complain(
                f"pipeline: {exc}, and does not answer at server.admin = {config.server.admin}"
            )
            return EXIT_UNAVAILABLE
    for reason in refused:
        complain(reason)
    if not numbers and kind is _DELIVERIES:
        await _tell_of_doubts(config, owner)
    verb = "will be tried again" if action == "retry" else "dropped"
    console().print(f"{ids:,} {kind.one if ids == 1 else kind.name} {verb}.")
    return EXIT_FAILED if refused else 0


async def _tell_of_doubts(config: Config, owner: str | None) -> None:
    """Say what a retry of everything leaves alone."""
    async with read_outbox(config.outbox.path) as outbox:
        if await outbox.records.in_doubt(owner):
            complain(
                f"Left alone is what parked with {_IN_DOUBT}: it may have been done. Look at the "
                f"destination, then retry or drop each by its id "
                f'(pipeline deliveries list --reason "{_IN_DOUBT}")'
            )


async def _through_daemon(
    config: Config, kind: _Kind, action: str, numbers: Sequence[int], owner: str | None
) -> tuple[int, list[str]]:
    async def retry(owner: str | None, before: int | None) -> Batch:
        asked = {"state": "parked", kind.owner: owner, "before": before}
        answer = await _post(config, f"/api/{kind.name}/retry", asked)
        return msgspec.json.decode(answer, type=Batch)

    if not numbers:
        return await _all_batches(retry, owner), []
    ids: dict[str, None] = {}
    refused = []
    for number in numbers:
        path = f"/api/{kind.name}/{kind.letter}{number}/{action}"
        try:
            answer = await _post(config, path, {})
        except Refused as exc:
            # A guest that came along with an earlier one is changed already, and no failure.
            refused.append(str(exc))
            continue
        ids |= dict.fromkeys(msgspec.json.decode(answer)["changed"])
    return len(ids), refused


async def _post(config: Config, path: str, body: Mapping[str, object]) -> bytes:
    answer = await call(config.server, "POST", path, body=body)
    if answer is None:
        raise PipelineError(f"the daemon at {config.server.admin} has stopped answering")
    return answer


async def _by_ourselves(
    desk: Desk, kind: _Kind, action: str, numbers: Sequence[int], owner: str | None
) -> tuple[int, list[str]]:
    if not numbers:
        retry = desk.retry_parked_events if kind is _EVENTS else desk.retry_parked_deliveries
        return await _all_batches(retry, owner), []
    done: Changed = await getattr(desk, f"{action}_{kind.name}")(numbers)
    return len(done.ids), list(done.refused.values())


async def _all_batches(
    retry: Callable[[str | None, int | None], Awaitable[Batch]], owner: str | None
) -> int:
    """Retry some of the parked rows after the other; how many it were."""
    changed, before = 0, None
    while True:
        batch = await retry(owner, before)
        changed, before = changed + batch.changed, batch.before
        if not batch.more:
            return changed


@asynccontextmanager
async def _desk(config: Config) -> AsyncIterator[Desk]:
    async with open_outbox(config.outbox.path, create=False) as outbox:
        # Nobody works on what a daemon that ended without a word had begun.
        await outbox.recover(now=SystemClock().now())
        yield Desk(outbox.records, outbox.repair, SystemClock(), lambda: None)


def _number(text: str, kind: _Kind) -> int:
    found = re.fullmatch(rf"{kind.letter}?([0-9]{{1,18}})", text.strip())
    if found is None:
        raise PipelineError(f"{text!r} is no id of {kind.name}: they look like {kind.letter}5")
    return int(found[1])


def _table(
    out: Console, rows: Sequence[Row], columns: Sequence[str], spare: Collection[str]
) -> Table:
    shown = [name for name in columns if out.width >= _ROOMY or name not in spare]
    made = table(*shown)
    for column, name in zip(made.columns, shown, strict=True):
        if name in _UNBROKEN:
            column.min_width = min(max(len(str(row[name] or "")) for row in rows), _LONGEST)
    for row in rows:
        made.add_row(*(_styled(name, row[name]) for name in shown))
    return made


def _styled(name: str, value: object) -> str:
    text = "" if value is None else escape(str(value))
    if name.endswith("_at") or name == "at":
        return text.partition(".")[0].replace("T", " ")
    style = _STYLES.get(text) if name == "state" else None
    return f"[{style}]{text}[/]" if style else text
