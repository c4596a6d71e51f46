"""What a destination is told, and what is recorded of it."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.clock import SECOND, moment
from pipeline.errors import NoAnswer
from pipeline.model import (
    COMPLETE,
    Consent,
    DeliveryKind,
    DeliveryState,
    Guest,
    GuestConsent,
    ToldGuest,
)
from pipeline.outbox import VisitDue
from pipeline.outbox.backup import back_up, restoring
from pipeline.plugin import Call, Reply
from pipeline.settings import Duration, RateLimit
from tests.fakes import FakeClock
from tests.outbox.support import T0, arrival, intent, look
from tests.unit import made
from tests.unit.telling import TOKEN, Told, reply, telling

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


@pytest.mark.parametrize("per", [900, 7200])
async def test_one_request_in_a_window_is_enough_to_tell_of_a_guest(
    tmp_path: Path, per: int
) -> None:
    """What was looked up would be too old in the next one, and be looked up for ever."""
    clock = FakeClock(now=T0)
    limit = RateLimit(requests=1, per=Duration(per), reserve=0)
    async with telling(
        tmp_path / "outbox.db", clock, rate_limit=limit, first_contact="check"
    ) as told:
        told.peer.answer = lambda call: reply(
            200, {"id": "g-1"} if call.method == "POST" else {"data": []}
        )
        of_guest = intent(DeliveryKind.GUEST, customer=_GUEST.customer)
        await told.owe(made.booking(), of_guest, key="1", guest=_GUEST)
        for _ in range(2):
            assert await told.tell()
            assert not told.budget.left()
            clock.advance(told.budget.window / SECOND)
            await told.outbox.events.learn_guest("leeds", _GUEST, fetched_at=clock.now())
    assert [call.method for call in told.peer.calls] == ["GET", "POST"]


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


_YES = GuestConsent(email=Consent.YES)
_NO = GuestConsent(email=Consent.NO)
_REGISTERING: dict[str, Any] = {"mode": "registration", "registration_path": "/registration"}


async def _registered(told: Told, said: Reply | Exception) -> None:
    """Register a booking of a guest who says yes, with this answer."""
    told.peer.answer = lambda _: said
    guest = made.guest(consent=_YES)
    await told.owe(made.booking(), intent(customer=guest.customer), key="1", guest=guest)
    assert await told.tell()
    told.peer.answer = lambda _: reply(200, {"id": "g-1"})


async def _withdraws(told: Told) -> None:
    """Let the guest say no, and tell what is owed then."""
    told.clock.advance(1)
    guest = made.guest(consent=_NO)
    skipped = intent(state=DeliveryState.SKIPPED, customer=guest.customer)
    await told.owe(made.booking(id="other"), skipped, key="2", guest=guest)
    await told.tell()


def _consents(call: Call) -> list[bool]:
    body = msgspec.json.decode(call.body or b"")
    return [body["privacy"]["data"], *body["privacy"]["marketing"].values()]


@pytest.mark.parametrize("looked", [None, "dropped"])
async def test_an_opt_out_goes_though_nobody_knows_whether_the_yes_was_told(
    tmp_path: Path, looked: str | None
) -> None:
    """The registration may have taken effect, also after a person has dropped its delivery."""
    async with telling(tmp_path / "outbox.db", **_REGISTERING) as told:
        await _registered(told, NoAnswer("the connection broke before the answer"))
        if looked:
            await told.outbox.repair.drop_deliveries([1], now=told.clock.now())
        await _withdraws(told)
        assert [call.url.rpartition("/")[2] for call in told.peer.calls] == [
            "registration",
            "guests",
        ]
        assert _consents(told.peer.calls[-1]) == [False] * 3
        [person] = look(tmp_path / "outbox.db", "SELECT doc FROM told WHERE kind = 'guest'")
    known = msgspec.json.decode(person[0])
    assert (known["maybe"], known["consent"]["email"]) == ({}, False), "that is known now"


@pytest.mark.parametrize("looked", [None, "retried"])
async def test_nothing_is_taken_back_that_was_not_told(tmp_path: Path, looked: str | None) -> None:
    """An answer, or a person who has looked, says that the registration did not take effect."""
    said = NoAnswer("silence") if looked else reply(422, {"message": "no"})
    async with telling(tmp_path / "outbox.db", **_REGISTERING) as told:
        await _registered(told, said)
        if looked:
            await told.outbox.repair.retry_deliveries([1], now=told.clock.now())
        person = told.outbox.seal.person("anna@example.com")
        known = await told.outbox.facts.told_guest("stampede", person)
        assert known == ToldGuest()


async def test_a_yes_that_may_have_been_told_is_not_told_as_new(tmp_path: Path) -> None:
    """Who took it back at Stampede itself would be subscribed again with the next booking."""
    async with telling(tmp_path / "outbox.db", **_REGISTERING) as told:
        await _registered(told, NoAnswer("silence"))
        told.clock.advance(1)
        guest = made.guest(consent=_YES)
        wanted = intent(customer=guest.customer)
        await told.owe(made.booking(id="other"), wanted, key="2", guest=guest)
        there = {"id": "g-1", "user_profile": {"email": guest.email}}
        off = {f"{name}_opt_in_at": None for name in ("data", "email", "sms")}
        told.peer.answer = lambda _: reply(200, {"data": [there | off]})
        while await told.tell():
            pass
    look_up, second = told.peer.calls[1:]
    assert (look_up.method, second.url.rpartition("/")[2]) == ("GET", "registration")
    assert msgspec.json.decode(second.body or b"")["emailOptIn"] is False


def _answers(told: Told, status: int) -> None:
    """Answer a registration so, and a look-up with nobody."""
    told.peer.answer = lambda call: (
        reply(200, {"data": []}) if call.method == "GET" else reply(status, {})
    )


@pytest.mark.parametrize(
    ("looked", "answers", "end"),
    [
        ("retry", [200], ("delivered", None)),
        ("retry", [500, 200], ("delivered", None)),
        ("drop", [], ("skipped", "already registered")),
        (None, [], ("parked", "unknown outcome")),
    ],
    ids=["retried", "retried and refused", "dropped", "nobody looked"],
)
async def test_who_looks_after_a_restore_is_asked_once(
    tmp_path: Path, looked: str | None, answers: list[int], end: tuple[str, str | None]
) -> None:
    """Whoever retries it has seen that it is not there, and whoever drops it that it is."""
    path, backup = tmp_path / "outbox.db", tmp_path / "backup.db"
    guest = made.guest()
    async with telling(path, **_REGISTERING) as told:
        await told.outbox.intake.accept(arrival("0"))
    back_up(path, backup, force=False)
    with restoring(backup, path) as ready:
        ready.put_back(now=T0)
    async with telling(path, **_REGISTERING) as told:
        await told.owe(made.booking(), intent(customer=guest.customer), key="1", guest=guest)
        while await told.tell():
            pass
        assert look(path, "SELECT state, reason FROM delivery") == [("parked", "unknown outcome")]
        assert not told.peer.calls
        if looked:
            change = getattr(told.outbox.repair, f"{looked}_deliveries")
            await change([1], now=told.clock.now())
        for answer in answers:
            _answers(told, answer)
            while await told.tell():
                pass
            told.clock.advance(10)
        if not answers:
            await told.owe(made.booking(), intent(customer=guest.customer), key="2", guest=guest)
        while await told.tell():
            pass
    assert look(path, "SELECT state, reason FROM delivery ORDER BY id DESC LIMIT 1") == [end]


async def test_the_end_of_a_visit_that_comes_too_early_waits_until_it_is_over(
    tmp_path: Path,
) -> None:
    """The clock was set back, or the session was moved: no slot is spent on it before."""
    path, clock = tmp_path / "outbox.db", FakeClock(now=T0)
    day = moment(T0).date() + timedelta(days=1)
    ahead = made.booking(made.item(first_day=day, last_day=day))
    async with telling(path, clock) as told:
        await told.owe(ahead, key="1", guest=_GUEST)
        receipt = await told.outbox.intake.accept(arrival("2", booking=ahead.id))
        [event] = await told.outbox.events.claim([receipt.event], now=T0, until=T0 + 1)
        await told.outbox.visits.learn("leeds", ahead.id, at=T0, event=event.id)
        due = VisitDue(
            destination="stampede",
            event=event.id,
            booking=ahead.id,
            reference=None,
            customer=ahead.customer,
            detail=COMPLETE,
            due_at=T0,
        )
        await told.outbox.deliveries.settle(event, [], visits=[due], now=T0)
        assert await told.tell()
        assert told.peer.calls == []
    [(state, due_at)] = look(path, "SELECT state, due_at FROM delivery")
    assert (state, moment(due_at).strftime("%H:%M")) == ("waiting", "19:30")
    assert moment(due_at).date() == day
