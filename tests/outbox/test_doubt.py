"""What may have taken effect and must not be done twice is on disk before its request leaves."""

from pathlib import Path

import msgspec
import pytest

from pipeline.model import Delivery, DeliveryState, Guest, Outcome, ToldBooking, ToldGuest
from pipeline.outbox import Ending, Learnt
from pipeline.outbox.backup import back_up, restoring
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from tests.outbox.support import BOOKING, T0, change, look, next_delivery, opening, settled

_TOLD = ToldBooking(guest=None, customer="c", payload_hash="h")
ABSENT = ToldBooking(guest=None, customer=None, payload_hash="", absent=True)
_DOUBT = Learnt(key="leeds/b", told=msgspec.structs.replace(_TOLD, in_doubt=True))


async def _under_way(outbox: SqliteOutbox) -> tuple[Delivery, int]:
    """Let a registration leave; give its delivery and its attempt."""
    await settled(outbox, "1", BOOKING)
    delivery = await next_delivery(outbox)
    sent = msgspec.structs.replace(opening(delivery), doubts=(_DOUBT,))
    return delivery, await outbox.ledger.open(sent)


def _ending(attempt: int, outcome: Outcome) -> Ending:
    return Ending(attempt=attempt, outcome=outcome, status=None, at=T0 + 1, boot=T0 + 1)


async def _told(outbox: SqliteOutbox) -> ToldBooking | None:
    told = await outbox.facts.told_booking("stampede", "leeds/b")
    return None if told == ABSENT else told


async def test_it_is_there_when_the_request_leaves_and_after_a_crash(path: Path) -> None:
    """The crash may come at any moment from then on."""
    async with open_outbox(path) as outbox:
        await _under_way(outbox)
        assert await _told(outbox) == _DOUBT.told
    async with open_outbox(path) as outbox:
        await outbox.recover(now=T0)
        assert await _told(outbox) == _DOUBT.told
        assert (await next_delivery(outbox)).booking == "b", "whoever takes it sees the doubt"


@pytest.mark.parametrize("outcome", [Outcome.RETRY, Outcome.REJECTED, Outcome.RATE_LIMITED])
async def test_an_answer_that_is_no_success_ends_it(outbox: SqliteOutbox, outcome: Outcome) -> None:
    """The next try may go out."""
    delivery, attempt = await _under_way(outbox)
    ending = _ending(attempt, outcome)
    if outcome is Outcome.REJECTED:
        await outbox.deliveries.close(delivery, DeliveryState.PARKED, "no", ending, now=T0)
    else:
        await outbox.deliveries.give_back(
            delivery, ending, due_at=T0, reason="later", failed=True, now=T0
        )
    assert await _told(outbox) is None


@pytest.mark.parametrize("parks", [True, False])
async def test_without_an_answer_it_stays(outbox: SqliteOutbox, parks: bool) -> None:
    """However the delivery goes on."""
    delivery, attempt = await _under_way(outbox)
    ending = _ending(attempt, Outcome.UNKNOWN)
    deliveries = outbox.deliveries
    if parks:
        await deliveries.close(delivery, DeliveryState.PARKED, "unknown outcome", ending, now=T0)
    else:
        await deliveries.give_back(delivery, ending, due_at=T0, reason="x", failed=True, now=T0)
    assert await _told(outbox) == _DOUBT.told


async def test_a_success_says_what_is_known_of_the_booking_and_of_its_guest(
    outbox: SqliteOutbox,
) -> None:
    """A crash between the two would forget a consent that was sent."""
    delivery, attempt = await _under_way(outbox)
    guest = ToldGuest(tags=("Online",))
    learnt = [Learnt(key="leeds/b", told=_TOLD), Learnt(key="p", told=guest)]
    ending = _ending(attempt, Outcome.OK)
    await outbox.deliveries.succeed(delivery, learnt, ending, more=False, now=T0)
    assert await _told(outbox) == _TOLD
    assert await outbox.facts.told_guest("stampede", "p") == guest


@pytest.mark.parametrize(
    ("state", "told"), [("waiting", None), ("dropped", _TOLD)], ids=["retried", "dropped"]
)
async def test_a_person_who_has_looked_ends_it(
    path: Path, state: str, told: ToldBooking | None
) -> None:
    """Whoever retries it has seen that it is not there, and whoever drops it that it is."""
    async with open_outbox(path) as outbox:
        delivery, attempt = await _under_way(outbox)
        ending = _ending(attempt, Outcome.UNKNOWN)
        await outbox.deliveries.close(
            delivery, DeliveryState.PARKED, "unknown outcome", ending, now=T0
        )
    change(path, "UPDATE delivery SET state = ?", state)
    async with open_outbox(path) as outbox:
        assert await _told(outbox) == told


async def test_one_look_is_enough_for_what_was_in_doubt_before_a_restore(
    path: Path, tmp_path: Path
) -> None:
    """Its guest was forgotten, so a retry makes it anew: that one must not park for the same."""
    async with open_outbox(path) as outbox:
        delivery, attempt = await _under_way(outbox)
        await outbox.events.learn_guest("leeds", Guest(customer="c"), fetched_at=T0)
        ending = _ending(attempt, Outcome.UNKNOWN)
        await outbox.deliveries.close(
            delivery, DeliveryState.PARKED, "unknown outcome", ending, now=T0
        )
    back_up(path, tmp_path / "copy.db", force=False)
    with restoring(tmp_path / "copy.db", path) as ready:
        ready.put_back(now=T0)
    async with open_outbox(path) as outbox:
        assert await _told(outbox) == _DOUBT.told
        await outbox.repair.retry_deliveries([delivery.id], now=T0)
        assert await outbox.facts.told_booking("stampede", "leeds/b") == ABSENT
    assert look(path, "SELECT state FROM event") == [("waiting",)]
