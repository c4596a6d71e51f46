"""Whatever happens in whatever order, Stampede has the newest truth, and nobody's no is undone."""

import os

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from pipeline.model import Consent, Phase
from pipeline.sandbox.faults import Fault
from pipeline.simulation.world import Receiver
from tests.simulation.history import play
from tests.simulation.steps import (
    EMAILS,
    RECORDS,
    AtStampede,
    Book,
    Case,
    Change,
    Crash,
    Outage,
    Restart,
    SetClock,
    Spoil,
    Step,
    cases,
)

#: More than the suite has time for: PIPELINE_HISTORIES=5000 pytest tests/simulation/test_truth.py
_HISTORIES = int(os.environ.get("PIPELINE_HISTORIES", "0"))

_NO, _YES = Consent.NO, Consent.YES


@settings(
    max_examples=_HISTORIES or 25,
    derandomize=not _HISTORIES,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(case=cases())
def test_any_history_ends_in_the_newest_truth(case: Case) -> None:
    """No sync may end with an old booking, with two of them, or with a guest subscribed again."""
    assert play(case) == []


def _history(*steps: tuple[Step, float], seed: int = 0) -> Case:
    """Make a history of guests who all have said no."""
    guests = tuple(
        Change(venue=venue, customer=customer, email=email, by_email=_NO, by_sms=_NO)
        for (venue, customer), email in zip(RECORDS, EMAILS, strict=True)
    )
    return Case(seed=seed, guests=guests, steps=steps)


def _book(customer: str | None = "c0", **fields: object) -> Book:
    return Book(**{"venue": "venue-0", "booking": "b0", "customer": customer} | fields)  # type: ignore[arg-type]


def _say(consent: Consent, customer: str = "c0") -> Change:
    return Change(venue="venue-0", customer=customer, by_email=consent, by_sms=consent)


@pytest.mark.parametrize("seed", range(4))
def test_of_two_messages_of_one_moment_that_come_together_the_last_counts(seed: int) -> None:
    """Only the source can tell which that is, and it is asked only by who sees both."""
    gone, there = _book(phase=Phase.CANCELLED, late=600.0), _book(late=600.0)
    assert play(_history((gone, 0.0), (there, 1.0), seed=seed)) == []


def test_an_opt_out_counts_though_the_clock_was_set_back_after_the_opt_in() -> None:
    """It would seem to be older, and be taken for what was overtaken."""
    history = _history(
        (_book(), 30.0),
        (_say(_YES), 0.0),
        (_book(), 30.0),
        (SetClock(seconds=-7200.0), 5.0),
        (_say(_NO), 0.0),
        (_book(), 30.0),
    )
    assert play(history) == []


def test_a_booking_that_may_have_been_told_is_cancelled_there_when_it_changes_hands() -> None:
    """An answer that is lost takes no booking back."""
    lost = Fault(kind="500", path="/v1/guests/…/booking", count=1, after=True, retry_after=700)
    for customer in ("c1", None):
        history = _history((Spoil(fault=lost), 0.0), (_book(), 30.0), (_book(customer), 30.0))
        assert play(history) == []


def test_a_guest_who_cannot_be_fetched_anew_is_once_the_source_is_back() -> None:
    """No webhook may come for days that would show it."""
    failing = Fault(kind="503", path="/v1/guests", count=4, retry_after=700)
    history = _history(
        (Spoil(fault=failing), 0.0),
        (_book(), 1.0),
        (Outage(peer="venue-0", seconds=20_000.0), 5000.0),
    )
    assert play(history) == []


def test_who_opted_out_at_stampede_and_left_is_not_made_again_with_the_yes_of_before() -> None:
    """It is the same person, whatever Stampede has forgotten."""
    renamed = Change(venue="venue-0", customer="c0", named_anew=True)
    history = _history(
        (_say(_YES), 0.0),
        (_book(), 30.0),
        (AtStampede(email=EMAILS[0], channel="email"), 1000.0),
        (renamed, 0.0),
        (_book(), 30.0),
        (AtStampede(email=EMAILS[0], leaves=True), 1000.0),
        (renamed, 0.0),
        (_book(), 30.0),
    )
    assert play(history) == []


def test_who_left_stampede_is_made_again_with_the_next_booking() -> None:
    """The id that was remembered is nobody's."""
    leaves = AtStampede(email=EMAILS[0], leaves=True)
    assert play(_history((_book(), 1000.0), (leaves, 0.0), (_book(), 30.0))) == []


@pytest.mark.parametrize(
    "booked", [_book("c1"), _book("c1", phase=Phase.CANCELLED)], ids=["moves", "is called off"]
)
def test_a_booking_of_who_left_stampede_comes_to_an_end_with_a_child(booked: Book) -> None:
    """It is the same e-mail, and a child is not looked up."""
    child = Change(venue="venue-0", customer="c1", email=EMAILS[0], minor=True)
    leaves = AtStampede(email=EMAILS[0], leaves=True)
    assert play(_history((child, 0.0), (_book(), 1000.0), (leaves, 0.0), (booked, 30.0))) == []


def test_a_booking_of_who_left_stampede_twice_goes_once_a_person_retries_it() -> None:
    """Whoever retries by hand means that it begins anew, look-up and all."""
    leaves = AtStampede(email=EMAILS[0], leaves=True)
    renamed = Change(venue="venue-0", customer="c0", named_anew=True, by_email=_YES, by_sms=_YES)
    history = _history(
        (_say(_YES), 0.0),
        (_book(booking="b1"), 3.0),
        (renamed, 0.0),
        (_book(booking="b1"), 3.0),
        (_book(booking="b1", amount=11), 0.0),
        (msgspec.structs.replace(renamed, by_email=_NO), 0.0),
        (_book(amount=12), 30.0),
        (leaves, 0.2),
        (_book(amount=12), 0.0),
        (Change(venue="venue-1", customer="c0", named_anew=True, by_email=_YES), 30.0),
        (leaves, 0.2),
        seed=2,
    )
    assert play(history) == []


def test_details_that_waited_through_an_outage_are_fetched_again() -> None:
    """Whoever changed them meanwhile has told ROLLER, and ROLLER nobody."""
    outage = Outage(peer="stampede-0", seconds=3000.0)
    renamed = Change(venue="venue-0", customer="c0", named_anew=True)
    assert play(_history((outage, 0.0), (_book(), 30.0), (renamed, 5000.0))) == []


@pytest.mark.parametrize("seed", range(4))
def test_a_guest_is_not_told_twice_at_a_time_when_a_booking_leaves_them(seed: int) -> None:
    """It is cancelled in the name of who has it now, while they are told something else."""
    other = Change(venue="venue-1", customer="c0", email=EMAILS[0])
    history = _history(
        (_book(), 30.0),
        (other, 0.0),
        (Book(venue="venue-1", booking="b0", customer="c0"), 0.0),
        (_book("c1"), 0.0),
        (Book(venue="venue-1", booking="b0", customer="c0", amount=11), 30.0),
        seed=seed,
    )
    assert play(history) == []


def test_an_old_no_for_email_says_nothing_of_sms() -> None:
    """The SMS yes of a further record is old, and the guest has unsubscribed at Stampede."""
    guests = (
        Change(
            venue="venue-0", customer="c0", email=EMAILS[0], minor=False, by_email=_YES, by_sms=_YES
        ),
        Change(
            venue="venue-0", customer="c1", email=EMAILS[0], minor=False, by_email=_NO, by_sms=_YES
        ),
    )
    steps = (
        (_book(), 1000.0),
        (AtStampede(email=EMAILS[0], channel="sms"), 2000.0),
        (Outage(peer="stampede-0", seconds=1200.0), 0.0),
        (_book("c1", booking="b1"), 1000.0),
    )
    assert play(Case(seed=0, guests=guests, steps=steps)) == []


@pytest.mark.parametrize("mode", ["api", "registration"])
def test_an_opt_out_that_one_stampede_finds_reaches_the_other(mode: str) -> None:
    """ROLLER sends no message of it, and no booking may ever come again."""
    told = Receiver(mode=mode)  # type: ignore[arg-type]
    history = _history(
        (_say(_YES), 0.0),
        (_book(), 1000.0),
        (Outage(peer="stampede-0", seconds=4000.0), 0.0),
        (Change(venue="venue-0", customer="c0", named_anew=True), 0.0),
        (_book(booking="b1"), 1000.0),
        (_say(_NO), 5000.0),
    )
    for receivers in ((Receiver(), told), (told, Receiver())):
        assert play(msgspec.structs.replace(history, receivers=receivers)) == []


@pytest.mark.parametrize("pause", [0.02, 0.1])
def test_an_opt_out_counts_that_is_found_for_a_booking_which_is_somebody_elses_by_then(
    pause: float,
) -> None:
    """It was heard, and whoever has no booking any more may never be asked for again."""
    history = _history(
        (_say(_YES, "c1"), 0.0),
        (_book("c1"), 1000.0),
        (_say(_NO, "c1"), 0.0),
        (_book("c1", booking="b1"), pause),  # while the guest is fetched
        (_book("c0", booking="b1"), 30.0),
    )
    assert play(msgspec.structs.replace(history, receivers=(Receiver(), Receiver()))) == []


@pytest.mark.parametrize("kind", ["timeout", "reset", "garbage"])
@pytest.mark.parametrize("after", [False, True])
def test_a_registration_whose_answer_is_lost_is_counted_once(kind: str, *, after: bool) -> None:
    """Only a person can look whether it was, and then it is counted, or not again."""
    lost = Fault(kind=kind, path="/registration", count=1, after=after)
    history = _history(
        (Spoil(fault=lost), 0.0), (_book(), 60.0), (_book(amount=11), 60.0), (Restart(), 0.0)
    )
    receivers = (Receiver(mode="registration"),)
    assert play(msgspec.structs.replace(history, receivers=receivers)) == []


@pytest.mark.parametrize("after", [0.3, 0.9, 1.0, 1.1, 1.2, 1.5])
def test_a_crash_registers_nothing_twice(after: float) -> None:
    """The request may be on its way, at Stampede, or its answer under way."""
    history = _history((_book(), after), (Crash(), 60.0), (_book(), 60.0))
    receivers = (Receiver(mode="registration"), Receiver())
    assert play(msgspec.structs.replace(history, receivers=receivers)) == []
