"""A week of webhooks that get lost, come twice or late, and stop: in the end all is told."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_reconcile import reconcile
from tests.e2e.world import World, newest_truth, told, world
from tests.waiting import until

_WEEK = {
    "days": 7, "bookings": 70, "guests": 50, "updates": 40, "cancellations": 10, "no_customer": 5,
    "drafts": 5, "duplicates": 8, "out_of_order": 8, "lost": 0.1, "twice": 0.1, "late": 0.1,
    "guest_changes": 20, "consent_changes": 20,
}  # fmt: skip


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose ROLLER sends messages of every type."""
    async with world(tmp_path, everything=True) as made:
        yield made


def _people(stampede: Any) -> dict[str, tuple[object, ...]]:
    """Give what Stampede has of each guest: names, and consent to data, e-mail, SMS."""
    return {
        one["email"]: (one["first"], one["last"],
                       one["data_opt_in"], one["email_opt_in"], one["sms_opt_in"])
        for one in stampede["guests"]
    }  # fmt: skip


def _people_of(roller: Any) -> dict[str, tuple[object, ...]]:
    """Give the same as it should be: SMS is as e-mail for who was never asked."""
    return {
        one["email"].strip().lower(): (
            one["firstName"], one["lastName"], one["acceptMarketing"], one["acceptMarketing"],
            one.get("acceptMarketingSMS", one["acceptMarketing"]),
        )
        for one in roller["guests"] if one["email"]
    }  # fmt: skip


async def _knows_people(here: World) -> bool:
    """Tell whether Stampede has of all its guests what it should."""
    found, people = _people(await here.state("stampede")), _people_of(await here.state("roller"))
    return found == {email: people[email] for email in found}


@pytest.mark.waits
async def test_after_a_week_of_mishaps_stampede_holds_what_roller_does(here: World) -> None:
    """On the last day the subscription is off; then somebody, or the night, reconciles."""
    async with here.running():
        played = await here.play(**_WEEK, switch_off=6 / 7, seed=1)
        assert played["lost"] > 0
        await until(here.everything_was_answered)
        await here.settled()
        truth = newest_truth(await here.state("roller"))
        before = told(await here.state("stampede"))
        assert before != truth, "nothing is missing, so nothing is tried here"
        assert not await _knows_people(here), "nor is anything of anybody"
        since = datetime.now(UTC).date() - timedelta(days=8)
        status = await reconcile(here, since=since.isoformat())
        run = status.sources["leeds"].reconcile
        assert run.taken_in > 0
        assert run.seen == run.known + run.taken_in + sum(run.not_sendable.values())
        assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))
        assert await _knows_people(here)
        drift = [one.field for one in status.sources["leeds"].drift]
        assert drift == [], "what we ask for ourselves is no message of ROLLER's"
        parked = here.rows("SELECT reason FROM parked")
        assert parked == []
        # Once more, as at night, finds nothing.
        status = await reconcile(here)
        assert status.sources["leeds"].reconcile.taken_in == 0
