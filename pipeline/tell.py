"""Tells a destination of one delivery: from what is true now, to what was recorded of it."""

import asyncio
from weakref import WeakValueDictionary

import msgspec

from pipeline.attempt import Attempt
from pipeline.budget import Budget
from pipeline.errors import (
    NoAnswer,
    OutboxUnavailable,
    PipelineError,
    Reject,
    Throttled,
    TokenRefused,
    Unauthorized,
    UnknownOutcome,
)
from pipeline.gather import Truth, booking_key
from pipeline.lane import Fate, Lane, Verdict
from pipeline.log import trace
from pipeline.means import Means
from pipeline.model import (
    Answer,
    Delivery,
    DeliveryState,
    NeedsGuest,
    Nothing,
    Outcome,
    Send,
    ToldBooking,
    ToldGuest,
)
from pipeline.outbox import Ending, Learnt
from pipeline.plugin import Destination
from pipeline.transform import next_step
from pipeline.wire import recorded_by


class Teller:
    """Makes and records the requests of one destination's deliveries."""

    def __init__(
        self, name: str, destination: Destination, *, budget: Budget, lane: Lane, means: Means
    ) -> None:
        self._name = name
        self._destination = destination
        self._budget = budget
        self._lane = lane
        self._outbox = means.outbox
        self._gatherer = means.gatherer
        self._clock = means.clock
        self._log = means.log
        self._people: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def tell(self, delivery: Delivery, attempt: Attempt) -> None:
        """Make the delivery's next request and record what came of it.

        Raises OutboxUnavailable when it could not be recorded; the delivery's lease then ends.
        """
        try:
            await self._next(delivery, attempt)
        except OutboxUnavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - the one place; the lane judges it
            if not isinstance(exc, PipelineError):
                self._log.error("failed unexpectedly", delivery=delivery.id, trace=trace(exc))
            understood = isinstance(exc, Reject) and not isinstance(exc, UnknownOutcome)
            if understood and attempt.status is not None:
                self._lane.succeeded()  # the peer answers, so it is not the peer's trouble
            verdict = self._lane.judge(
                held(exc, self._budget),
                item=delivery.id,
                attempts=delivery.attempts,
                first_failure_at=delivery.first_failure_at,
            )
            note = exc.why if isinstance(exc, UnknownOutcome) else verdict.reason
            ending = attempt.ending(outcome_of(exc), note)
            await self._record(delivery, verdict, ending)

    async def _next(self, delivery: Delivery, attempt: Attempt) -> None:
        """Make the delivery's next request from what is true now, and send it."""
        truth = await self._gatherer.truth(delivery.source, delivery.booking, delivery.customer)
        # One e-mail may be a customer of several venues, and is one guest at the destination.
        async with self._lock(truth.person):
            now = self._clock.now()
            facts = await self._gatherer.facts(truth, self._name, now=now)
            step = next_step(
                delivery.kind, delivery.detail, facts, self._destination.mapper, self._outbox.seal
            )
            match step:
                case Nothing(reason=reason):
                    await self._outbox.deliveries.close(
                        delivery, DeliveryState.SKIPPED, reason, None, now=now
                    )
                case NeedsGuest():
                    customer = truth.guest.customer if truth.guest else ""
                    await self._outbox.deliveries.wait_for_guest(delivery, customer, now=now)
                case Send():
                    await self._send(delivery, truth, step, attempt)

    async def _send(self, delivery: Delivery, truth: Truth, step: Send, attempt: Attempt) -> None:
        if step.request.once:
            attempt.raises_doubt(_in_doubt(truth, step))
        with recorded_by(attempt):
            try:
                answer = await self._destination.send(step.request)
            except NoAnswer as exc:
                if not step.request.once:
                    raise
                self._lane.unanswered(exc, delivery.id)
                raise UnknownOutcome(exc.reason) from exc
        self._lane.succeeded()
        self._budget.answered()
        ending = attempt.ending(Outcome.OK, None)
        if ending is None:
            msg = "a request left without having been recorded"
            raise AssertionError(msg)
        attempt.settle()
        await self._outbox.deliveries.succeed(
            delivery, _learnt(truth, step, answer), ending, more=step.more, now=self._clock.now()
        )
        self._log.info(
            "delivered",
            delivery=delivery.id,
            event=delivery.event,
            kind=delivery.kind,
            destination=self._name,
            attempt=ending.attempt,
        )

    async def _record(self, delivery: Delivery, verdict: Verdict, ending: Ending | None) -> None:
        now = self._clock.now()
        if verdict.fate is Fate.BACK:
            await self._outbox.deliveries.give_back(
                delivery,
                ending,
                due_at=verdict.due_at,
                reason=verdict.reason,
                failed=verdict.failed,
                now=now,
            )
            self._log.warning(
                "held back", delivery=delivery.id, event=delivery.event, reason=verdict.reason
            )
            return
        parked = verdict.fate is Fate.PARK
        state = DeliveryState.PARKED if parked else DeliveryState.SKIPPED
        await self._outbox.deliveries.close(delivery, state, verdict.reason, ending, now=now)
        self._log.info(
            state.value, delivery=delivery.id, event=delivery.event, reason=verdict.reason
        )

    def _lock(self, person: str | None) -> asyncio.Lock:
        return self._people.setdefault(person or "", asyncio.Lock()) if person else asyncio.Lock()


def _learnt(truth: Truth, step: Send, answer: Answer) -> list[Learnt]:
    """Say what the destination knows now, with the id that it gave."""
    if isinstance(step.told, ToldGuest):
        remote_id = answer.remote_id or step.told.remote_id
        told = msgspec.structs.replace(step.told, remote_id=remote_id)
        return [Learnt(key=truth.person or "", told=told)]
    booking = Learnt(key=_key(truth), told=step.told)
    return [booking, Learnt(key=truth.person or "", told=step.guest)] if step.guest else [booking]


def _in_doubt(truth: Truth, step: Send) -> Learnt:
    """Say what is known of a booking from the moment its request leaves until an answer comes."""
    assert isinstance(step.told, ToldBooking)  # noqa: S101 - guests are upserts
    return Learnt(key=_key(truth), told=msgspec.structs.replace(step.told, in_doubt=True))


def _key(truth: Truth) -> str:
    assert truth.booking is not None  # noqa: S101 - a booking's request was made from it
    return booking_key(truth.source, truth.booking.id)


def held(exc: Exception, budget: Budget) -> Exception:
    """Hold the allowance back for a 429, and say for how long; other failures stay as they are."""
    if isinstance(exc, Throttled):
        return Throttled(exc.reason, after=budget.hold(exc.after))
    return exc


def outcome_of(exc: Exception) -> Outcome:
    """Name how a request ended, from the exception it ended in."""
    match exc:
        case Throttled():
            return Outcome.RATE_LIMITED
        case NoAnswer() | UnknownOutcome():
            return Outcome.UNKNOWN
        case Reject() | Unauthorized() | TokenRefused():
            return Outcome.REJECTED
        case PipelineError():
            return Outcome.RETRY
        case _:  # a mistake of ours: it says nothing of what the peer has done
            return Outcome.UNKNOWN
