"""The status document, of an outbox with work in it."""

from pipeline.clock import SECOND
from tests.http.support import Here
from tests.outbox.support import BOOKING, GUEST, T0, TAG, intent, settled


async def test_the_estimate_looks_only_at_work_that_is_due(here: Here) -> None:
    """A booking that failed and is tried again in an hour is not held up by the allowance."""
    for n in range(34):
        kinds = (BOOKING, GUEST, TAG)
        owed = [intent(one.kind, customer=f"c{n}", detail=one.detail) for one in kinds]
        await settled(here.outbox, f"m{n}", *owed, booking=f"b{n}")
    found = (await here.status()).destinations["stampede"]
    assert (found.waiting, found.budget.left, found.eta_s) == (102, 100, 0)

    here.clock.advance((T0 - here.clock.now()) / SECOND)
    found = (await here.status()).destinations["stampede"]
    assert (found.waiting, found.eta_s) == (102, 18)
