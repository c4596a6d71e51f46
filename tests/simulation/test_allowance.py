"""What must hold of the allowance, on a virtual clock and by seed; `make bench` has full sizes."""

from typing import Literal

import pytest

from pipeline.sandbox.faults import Fault
from pipeline.simulation.mishaps import Mishaps
from pipeline.simulation.network import Latency
from pipeline.simulation.world import Receiver, Setup
from tests.simulation.experiments import (
    finished_after,
    keep_the_allowance,
    lesser_shares,
    newcomers_wait,
    others_wait,
    requests_each,
    requests_in_overload,
    share_used,
    told_of,
)

#: Some answers never come, and some only when nobody waits for them any more.
_SLOW = Latency(least=0.05, usual=2.0, slow_share=0.05, slow=40.0)
_FAULTS = (
    *(Fault(kind=kind, rate=0.01) for kind in ("500", "garbage", "reset", "timeout")),
    *(Fault(kind=kind, rate=0.01, after=True) for kind in ("reset", "timeout")),
    Fault(kind="429", rate=0.002, retry_after=120),
)
_USUAL = Latency(least=0.05, usual=0.95)


@pytest.mark.parametrize(("seed", "faults"), [(1, ()), (2, _FAULTS)], ids=["slow", "faulty"])
def test_no_window_ever_has_too_many_whatever_happens(seed: int, faults: tuple[Fault, ...]) -> None:
    """A strict peer refuses what is too much, and nobody knows when it forgives."""
    kept = keep_the_allowance(
        Setup(
            seed=seed,
            requests=10,
            token_lifetime=7200,
            drift=0.0004,
            stampede=_SLOW,
            faults=faults,
        ),
        Mishaps(restarts=20, crashes=5, reboots=2, clock_steps=6),
        days=0.5,
        bookings_per_day=200.0,
    )
    assert kept.requests > 200
    assert (kept.refused, kept.busiest) == (0, 10)
    assert (kept.finished, kept.differences, kept.unexpected) == (True, [], [])


def test_a_backlog_uses_what_it_may() -> None:
    """What is not used of an allowance is lost, and the backlog lasts so much longer."""
    setup = Setup(seed=1, requests=50, first_contact="trust", stampede=_USUAL)
    assert share_used(setup, hours=1.0, waiting=150) >= 0.99


def test_a_new_booking_need_not_wait_for_a_backfill() -> None:
    """A guest who has just booked may stand at the door tomorrow; the backfill has waited years."""
    setup = Setup(seed=2, first_contact="check", stampede=_USUAL, tags=())
    found = newcomers_wait(setup, days=0.06, waiting=60, per_window=30.0, returning=0.3)
    assert found.first_request.p99 is not None
    assert found.first_request.p99 <= 10.0


def test_what_is_begun_is_finished_though_many_wait_to_be_begun() -> None:
    """In a rush of bookings a new guest's would else be the last to be told."""
    setup = Setup(seed=1, requests=40, first_contact="check", stampede=_USUAL, tags=())
    assert finished_after(setup, others=160) <= 10.0


def test_what_is_begun_is_finished_before_it_must_be_begun_anew() -> None:
    """What was looked up would be too old to be used, and that the more the more is begun."""
    setup = Setup(seed=1, requests=20, first_contact="check", stampede=_USUAL, tags=())
    assert requests_in_overload(setup, windows=12, per_window=8) < 3.2


@pytest.mark.parametrize(("contact", "first"), [("trust", 5), ("check", 6)])
def test_a_booking_takes_no_more_requests_than_it_must(
    contact: Literal["trust", "check"], first: int
) -> None:
    """A venue's whole day is 9,600 of them."""
    # The token, the two bookings before it, and no slot for the third that day's quarter.
    setup = Setup(seed=1, first_contact=contact, requests=first + 2, reserve=0)
    assert requests_each(setup) == [first, 1, 1]


def test_visits_and_tags_have_one_slot_in_ten_of_every_window() -> None:
    """With more bookings than slots, day after day, no tag would ever be told else."""
    setup = Setup(seed=1, requests=50, first_contact="trust", stampede=_USUAL, tags=("channel",))
    assert lesser_shares(setup, windows=2) == [4, 4], "of the forty outside the reserve"


def test_a_venue_that_floods_leaves_the_others_their_turn() -> None:
    """One venue's import is no other venue's trouble."""
    setup = Setup(
        seed=1, venues=4, receivers=(Receiver(), Receiver()), first_contact="trust", tags=()
    )
    alone, flooded = (others_wait(setup, hours=1.3, per_hour=8.0, flood=flood) for flood in (0, 80))
    assert flooded < 1.2 * alone


def test_venues_whose_imports_wait_are_told_of_in_turn() -> None:
    """The second would else begin when the first is done, which takes a large one days."""
    setup = Setup(seed=1, venues=3, requests=28, reserve=0, first_contact="trust", tags=())
    assert told_of(setup, waiting=20) == {"venue-0": 3, "venue-1": 3, "venue-2": 3}
