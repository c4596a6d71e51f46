"""`pipeline explain`: where something is, why, and what happens next."""

import argparse
import asyncio
import re
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from rich.markup import escape

from pipeline.cli.common import (
    Commands,
    add_command,
    complain,
    configuration,
    console,
    print_json,
)
from pipeline.cli.status import current_status
from pipeline.clock import SystemClock, micros, moment
from pipeline.config import Config
from pipeline.errors import PipelineError
from pipeline.explain import DeliveryStory, EventStory, explain_delivery, explain_event
from pipeline.outbox import Owed, Records
from pipeline.outbox.sqlite import read_outbox
from pipeline.status import Status

_ID = re.compile(r"([ed])([0-9]{1,18})")


class _Story(Struct, frozen=True):
    id: str
    sentences: list[str]


def add(commands: Commands) -> None:
    """Add the command."""
    made = add_command(
        commands,
        "explain",
        "ask where a booking is, why, and what happens when",
        "Explains a booking, an event or a delivery in plain words; needs no running daemon.",
    )
    made.add_argument(
        "id", metavar="ID", help="a booking's reference or uniqueId, an event e5, a delivery d7"
    )
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.set_defaults(command=_explain)


def _explain(options: argparse.Namespace) -> int:
    config = configuration(options)
    status = asyncio.run(current_status(config))
    stories = asyncio.run(_stories(config, options.id.strip(), status))
    if status.started_at is None:
        for reason in status.reasons:
            if not reason.startswith("sources."):  # which is for `status` to tell
                complain(f"Read from the outbox: {reason}")
    if options.json:
        print_json(stories)
        return 0
    out = console()
    for number, story in enumerate(stories):
        if number:
            out.print()
        out.print(escape("\n  ".join(story.sentences)), soft_wrap=True)
    return 0


async def _stories(config: Config, name: str, status: Status) -> list[_Story]:
    now = moment(SystemClock().now())
    async with read_outbox(config.outbox.path) as outbox:
        events, deliveries = await _find(outbox.records, name)
        stories = []
        for number in events:
            if (event := await _event(outbox.records, number)) is not None:
                told = explain_event(event, status, now)
                stories.append(_Story(f"e{number}", told))
        owed = await outbox.overview.due(now=micros(now)) if deliveries else ()
        for number in deliveries:
            if (delivery := await _delivery(outbox.records, owed, number)) is not None:
                told = explain_delivery(delivery, status, now)
                stories.append(_Story(f"d{number}", told))
    if not stories:
        raise PipelineError(
            f"{name}: nothing like that in the outbox. A booking is found by its reference or "
            "uniqueId once its webhook has come; an event is e5, a delivery d7"
        )
    return stories


async def _find(records: Records, name: str) -> tuple[list[int], list[int]]:
    found = _ID.fullmatch(name)
    if found is not None:
        number = int(found[2])
        return ([number], []) if found[1] == "e" else ([], [number])
    return await records.of_booking(name)


async def _event(records: Records, number: int) -> EventStory | None:
    row = await records.event(number)
    if row is None:
        return None
    due: int | None = await records.due_at(number)
    due_at: datetime | None = None if due is None else moment(due)
    return EventStory(row=row, due_at=due_at)


async def _delivery(records: Records, owed: Sequence[Owed], number: int) -> DeliveryStory | None:
    row = await records.delivery(number)
    if row is None:
        return None
    mine = [one for one in owed if one.destination == row["destination"]]
    return DeliveryStory(row=row, standing=await records.standing(number), owed=mine)
