"""A week of webhooks that get lost, come twice or late, and stop: in the end all is told."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.test_reconcile import reconcile
from tests.e2e.world import World, newest_truth, told
from tests.waiting import until

_WEEK = {
    "days": 7, "bookings": 70, "guests": 50, "updates": 40, "cancellations": 10, "no_customer": 5,
    "drafts": 5, "duplicates": 8, "out_of_order": 8, "lost": 0.1, "twice": 0.1, "late": 0.1,
}  # fmt: skip


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
        since = datetime.now(UTC).date() - timedelta(days=8)
        status = await reconcile(here, since=since.isoformat())
        run = status.sources["leeds"].reconcile
        assert run.taken_in > 0
        assert run.seen == run.known + run.taken_in + sum(run.not_sendable.values())
        assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))
        parked = here.rows("SELECT reason FROM parked")
        assert parked == []
        # Once more, as at night, finds nothing.
        status = await reconcile(here)
        assert status.sources["leeds"].reconcile.taken_in == 0
