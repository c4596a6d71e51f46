"""What a simulation notes while it runs."""

from collections.abc import Sequence

import pytest

from pipeline.model import Action, Delivery, DeliveryKind, DeliveryState, Event, Kind, Priority
from pipeline.outbox import Settled
from pipeline.simulation.watch import Watch

_EVENT = Event(
    id=1,
    source="leeds",
    kind=Kind.BOOKING,
    action=Action.UPDATED,
    occurred_at=0,
    received_at=0,
    booking="b",
    reference=None,
    attempts=0,
    first_failure_at=None,
    body=b"",
)


def _made(number: int) -> Sequence[Settled]:
    return [
        Settled(delivery=one, state=DeliveryState.WAITING, reason=None, superseded_by=None)
        for one in range(number)
    ]


def _delivery(number: int) -> Delivery:
    return Delivery(
        id=number,
        event=1,
        source="leeds",
        destination="stampede",
        kind=DeliveryKind.BOOKING,
        detail="",
        booking="b",
        customer="c",
        priority=Priority.NEW,
        attempts=0,
        first_failure_at=None,
    )


@pytest.mark.parametrize(("gathered", "left"), [(6, 0), (40, 4), (200, 10)])
async def test_a_backlog_is_worked_off_once_next_to_nothing_is_left(
    gathered: int, left: int
) -> None:
    """Where few have gathered, some are most of them."""
    watch = Watch()
    watch.settled(_EVENT, _made(gathered))
    for number in range(gathered - left):
        assert watch.backlog.worked_off_at is None, f"{gathered - number} wait"
        watch.ended(_delivery(number), delivered=True)
    assert watch.backlog.worked_off_at is not None
