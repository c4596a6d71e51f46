"""Says what a simulation means for whoever has to decide."""

import math

import msgspec

from pipeline.clock import span
from pipeline.simulation.outcome import LATE, Outcome

#: The share of what a day's allowance sends, and of all that was to be sent, that may be late at
#: the end without being a backlog: the work of some minutes.
_LITTLE = 0.01

#: Seconds that a new booking may wait, at the 99th percentile, and still be called quick.
_QUICK = 60.0

#: An allowance that is used more than this on average has no room for a busy day.
_FULL = 0.8


def draw(outcome: Outcome) -> Outcome:
    """Add the conclusion."""
    little = _LITTLE * min(outcome.allowed_per_day, outcome.deliveries)
    suffices = outcome.deliveries > 0 and outcome.backlog.late <= little
    text = _enough(outcome) if suffices else _not_enough(outcome)
    return msgspec.structs.replace(outcome, suffices=suffices, conclusion=text)


def _not_enough(outcome: Outcome) -> str:
    if not outcome.deliveries:
        return (
            "Nothing was booked, so nothing is shown: more --days or --bookings-per-day are needed."
        )
    if outcome.needed_per_day <= _FULL * outcome.allowed_per_day:
        return _not_shown(outcome)
    return _too_little(outcome)


def _enough(outcome: Outcome) -> str:
    share = f"{outcome.allowance.used:.0%} of it was used"
    new = outcome.classes.get("2")
    wait = new.first_request_s.p99 if new else None
    if outcome.outage_s:
        after = outcome.backlog.worked_off_after_s
        gone = "" if after is None else f", and what had gathered was gone {span(after)} later"
        return f"The allowance suffices, outage included: {share}{gone}."
    if wait is not None and wait > _QUICK:
        return (
            f"The allowance suffices, but new bookings wait: {share}, and 1 of 100 new bookings "
            f"waited more than {span(wait)}. {_cheaper(outcome)}"
        )
    if outcome.allowance.used > _FULL:
        return f"The allowance just suffices: {share}, so a busier week would leave work waiting."
    return f"The allowance suffices: {share}."


def _not_shown(outcome: Outcome) -> str:
    waited = span(max(LATE, outcome.allowance.per_s))
    return (
        f"It is not shown that the allowance suffices: {outcome.needed_per_day:.0f} requests a day "
        f"are needed and {outcome.allowed_per_day:.0f} allowed, but at the end "
        f"{outcome.backlog.late} deliveries had waited for more than {waited}. "
        "More --days would show whether they are worked off."
    )


def _too_little(outcome: Outcome) -> str:
    limit = outcome.allowance
    # The reserve and one busy day in a week want room beside the average.
    wanted = math.ceil(outcome.needed_per_day * limit.per_s / 86_400 / _FULL)
    return (
        f"The allowance does not suffice: {outcome.needed_per_day:.0f} requests a day are needed "
        f"and {outcome.allowed_per_day:.0f} allowed; {outcome.backlog.left} deliveries were left. "
        f"{wanted} requests in {span(limit.per_s)} would do. {_cheaper(outcome)}"
    )


def _cheaper(outcome: Outcome) -> str:
    tags = outcome.classes.get("5")
    if tags and tags.pieces:
        return "Each tag costs a request: tags = [] in the configuration saves most."
    return "There are no tags to save on."
