"""What a destination is told, and what is recorded of it."""

import re
from pathlib import Path

import pytest

from pipeline.model import DeliveryKind, Guest
from pipeline.plugin import Call, Reply
from tests.outbox.support import intent, look
from tests.unit import made
from tests.unit.telling import TOKEN, reply, telling

_GUEST = Guest(
    customer="15617281",
    first="Mary-Ann",
    last="Quuxington",
    email="ada.q@example.com",
    phone="07400 123456",
)
_MARKERS = re.compile(rf"mary|ann|quux|ada|example|7400|{TOKEN}", re.IGNORECASE)


@pytest.mark.parametrize("status", [400, 500])
async def test_no_answer_to_any_call_shows_the_guest_or_the_token(
    tmp_path: Path, status: int
) -> None:
    """A booking's and a tag's call do not name the guest, and their answers do all the same."""
    quoted = (
        f"Mary QUUXINGTON ({TOKEN}) of ada.q%40example.com, 07400/123456, Bearer {TOKEN}, "
        "Mary\u2013Ann is blocked"
    )

    def answer(call: Call) -> Reply:
        if call.url.endswith("/v1/guests"):
            return reply(200, {"id": "g-1"})
        return reply(status, {"message": quoted, "errors": {quoted: [quoted]}})

    customer = _GUEST.customer
    async with telling(tmp_path / "outbox.db") as told:
        told.peer.answer = answer
        await told.owe(
            made.booking(),
            intent(DeliveryKind.GUEST, customer=customer),
            intent(customer=customer),
            intent(DeliveryKind.TAG, detail="status", customer=customer),
            key="1",
            guest=_GUEST,
        )
        while await told.tell():
            pass
        said = repr(told.said())
    assert len(told.peer.calls) == 3
    path = tmp_path / "outbox.db"
    shown = [said, *(repr(look(path, f"SELECT * FROM {v}")) for v in ("deliveries", "attempts"))]
    assert [_MARKERS.findall(one) for one in shown] == [[], [], []]
    assert all("is blocked" in one for one in shown), "the rest of the words is what people need"


async def test_who_held_a_booking_before_is_not_shown_either(tmp_path: Path) -> None:
    """It is cancelled at the old guest, whom the answer may name."""
    customer = _GUEST.customer
    other = Guest(customer="2", first="Bea", last="New", email="bea@example.com")
    async with telling(tmp_path / "outbox.db") as told:
        for booking, guest in ((made.booking(), _GUEST), (made.booking(customer="2"), other)):
            await told.owe(booking, intent(customer=customer), key=guest.customer, guest=guest)
            while await told.tell():
                pass
            told.peer.answer = lambda _: reply(400, {"message": "Mary Quuxington is unknown"})
            told.clock.advance(1)
    [(_, reason)] = look(
        tmp_path / "outbox.db", "SELECT id, reason FROM delivery WHERE state = 'parked'"
    )
    assert reason == "Stampede answered 400: … … is unknown"
