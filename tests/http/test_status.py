"""The status document, of an outbox with work in it."""

from pipeline.model import DeliveryKind, Priority
from tests.http.support import Here
from tests.outbox.support import GUEST, TAG, intent, next_delivery, settled

_HOUR = 3_600_000_000


async def test_the_estimate_looks_only_at_work_that_is_due(here: Here) -> None:
    """A booking that failed and is tried again in an hour is not held up by the allowance."""
    for n in range(34):
        owed = [
            intent(kind, customer=f"c{n}", detail=detail, priority=priority)
            for kind, detail, priority in (
                (DeliveryKind.BOOKING, "", Priority.NEW),
                (GUEST.kind, "", Priority.NEW),
                (TAG.kind, TAG.detail, Priority.TAG),
            )
        ]
        await settled(here.outbox, f"m{n}", *owed, booking=f"b{n}")
    found = (await here.status()).destinations["stampede"]
    # 102 urgent requests, a guest being two: two at 9 s each; and 34 tags beside the reserve.
    assert (found.waiting, found.budget.left, found.eta_s) == (102, 100, 18 + 34 * 11.25)

    now = here.clock.now()
    for _ in range(34):
        guest = await next_delivery(here.outbox, now=now)
        await here.outbox.deliveries.give_back(
            guest, None, due_at=now + _HOUR, reason="HTTP 500", failed=True, now=now
        )
    found = (await here.status()).destinations["stampede"]
    assert (found.waiting, found.eta_s) == (102, 0)


async def test_what_a_429_has_taught_is_shown(here: Here) -> None:
    """`requests` stays what is configured; what is left obeys what was learnt."""
    budget = here.budget
    budget.take()
    budget.refused(here.clock.boot())
    budget.hold(120)
    budget.ended()
    found = (await here.status()).destinations["stampede"]
    assert found.state == "throttled"
    told = found.budget
    assert (told.requests, told.allowed, told.used, told.left) == (100, 90, 1, 0)
    assert told.pause_s == 120
    here.clock.advance(120)
    found = (await here.status()).destinations["stampede"]
    assert (found.state, found.budget.left) == ("up", 89)
