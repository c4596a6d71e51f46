"""The log has a line with its ids for each thing that comes to an end."""

from pathlib import Path

from pipeline.desk import Desk
from pipeline.model import DeliveryKind, DeliveryState, Event
from pipeline.plugin import Call, Reply
from tests.outbox.support import LEASE, arrival, intent
from tests.unit import made
from tests.unit.telling import Told, reply, telling

_WHO = made.guest().customer
_BOOKING, _GUEST = intent(customer=_WHO), intent(DeliveryKind.GUEST, customer=_WHO)
_TAG = intent(DeliveryKind.TAG, detail="status", customer=_WHO)


def _story(told: Told, *messages: str) -> list[dict[str, object]]:
    """Give the lines with these messages, without what is the same in all."""
    lines = [line for line in told.said() if line["message"] in messages]
    return [{k: v for k, v in line.items() if k not in {"at", "level"}} for line in lines]


async def test_what_parks_with_its_guest_has_a_line_of_its_own(tmp_path: Path) -> None:
    """Whoever looks for the booking in the log would find nothing."""
    async with telling(tmp_path / "outbox.db") as told:
        told.peer.answer = lambda _: reply(400, {"message": "no"})
        await told.owe(made.booking(), _GUEST, _BOOKING, _TAG, key="1", guest=made.guest())
        assert await told.tell()
        with_guest = {"message": "parked", "event": 1, "reason": "guest d1 parked"}
        assert _story(told, "parked") == [
            {
                "message": "parked",
                "event": 1,
                "delivery": 1,
                "attempt": 1,
                "reason": "Stampede answered 400: no",
            },
            with_guest | {"delivery": 2},
            with_guest | {"delivery": 3},
        ]


async def test_what_turns_out_to_be_told_already_is_skipped_with_a_line(tmp_path: Path) -> None:
    """It is decided when it may go, not when it was made."""
    async with telling(tmp_path / "outbox.db") as told:
        for key in "12":
            await told.owe(made.booking(), _GUEST, key=key, guest=made.guest())
            assert await told.tell()
        assert _story(told, "skipped") == [
            {"message": "skipped", "event": 2, "delivery": 2, "reason": "already told"}
        ]


async def test_what_gave_way_while_it_was_under_way_is_not_said_to_be_parked(
    tmp_path: Path,
) -> None:
    """The log says what was stored, not what was meant to be."""
    for status in (400, 500):
        async with telling(tmp_path / f"{status}.db") as told:
            await told.owe(made.booking(), _GUEST, key="1", guest=made.guest())
            assert await told.tell()
            await told.owe(made.booking(), _BOOKING, key="2", guest=None)
            newer = await _event(told, "3")

            def answer(_: Call, status: int = status) -> Reply:
                return reply(status, {"message": "no"})

            told.peer.answer = answer
            told.peer.meanwhile = lambda told=told, newer=newer: told.outbox.deliveries.settle(
                newer, [_BOOKING], now=told.clock.now()
            )
            assert await told.tell()
            gone = {"message": "superseded", "event": 2, "delivery": 2, "by": 3}
            found = _story(told, "superseded", "parked")
            assert found == [gone | ({"attempt": 2} if status == 400 else {})]


async def _event(told: Told, key: str) -> Event:
    now = told.clock.now()
    receipt = await told.outbox.intake.accept(arrival(key, booking=made.booking().id, at=now + 1))
    [event] = await told.outbox.events.claim([receipt.event], now=now + 1, until=now + LEASE)
    return event


async def test_changes_by_hand_are_told_with_numbers(tmp_path: Path) -> None:
    """Like those of all other lines, so that one search finds them."""
    async with telling(tmp_path / "outbox.db") as told:
        skipped = intent(state=DeliveryState.SKIPPED, reason="draft", customer=_WHO)
        await told.owe(made.booking(), skipped, _GUEST, key="1", guest=made.guest())
        desk = Desk(told.outbox.records, told.outbox.repair, told.clock, lambda: None, told.log)
        await desk.retry_deliveries([1])
        await desk.drop_deliveries([1])
        assert _story(told, "retried", "dropped") == [
            {"message": "retried", "deliveries": [1]},
            {"message": "dropped", "deliveries": [1]},
        ]
