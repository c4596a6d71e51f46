"""Decides what a visit asks for: what follows from a booking that was told before.

Pure, like transform; the stage of that name asks it.
"""

from pipeline.errors import Reject, Retry, Skip, UnknownOutcome
from pipeline.gather import Truth
from pipeline.model import (
    ARRIVED,
    COMPLETE,
    DeliveryKind,
    Facts,
    Nothing,
)
from pipeline.outbox import VisitDue
from pipeline.plugin import Mapper
from pipeline.seal import Seal
from pipeline.transform import end_of_visit, next_step


def visits_due(
    name: str, mapper: Mapper, facts: Facts, truth: Truth, seal: Seal, *, told_anyway: bool
) -> list[VisitDue]:
    """Give what tells a destination of a visit: now that somebody is there, and once it is over.

    With `told_anyway` a delivery of the booking tells what is true now, and only the end is left.
    """
    end, booking = end_of_visit(facts), facts.booking
    if facts.visited_at is None or end is None or booking is None or truth.visited_by is None:
        return []
    is_news = _is_news(facts, mapper, seal)
    if is_news is None:
        return []
    due: dict[str, int] = {}
    if end > facts.now:
        due[COMPLETE] = end
    if is_news and not told_anyway:
        due[COMPLETE if end <= facts.now else ARRIVED] = facts.now
    return [
        VisitDue(
            destination=name,
            event=truth.visited_by,
            booking=booking.id,
            reference=booking.reference,
            customer=booking.customer,
            detail=detail,
            due_at=at,
        )
        for detail, at in due.items()
        if detail in mapper.visit_updates
    ]


def _is_news(facts: Facts, mapper: Mapper, seal: Seal) -> bool | None:
    """Tell whether the booking as it is now is to be told; None if it may not be."""
    try:
        step = next_step(DeliveryKind.BOOKING, "", facts, mapper, seal)
    except (Retry, UnknownOutcome):
        return True
    except (Skip, Reject):
        return None
    return not isinstance(step, Nothing)
