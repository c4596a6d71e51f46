"""Sends what is owed, spending the destination's allowance as well as it can be spent.

One of these runs for each destination. It waits for a slot, then chooses, then sends: what goes is
decided as late as possible, so the newest truth and the most urgent work win.
"""

import asyncio
from weakref import WeakValueDictionary

import msgspec

from pipeline.attempt import Attempt
from pipeline.budget import Budget
from pipeline.clock import SECOND
from pipeline.errors import (
    LaneFailure,
    NoAnswer,
    OutboxUnavailable,
    PipelineError,
    Reject,
    Throttled,
    TokenRefused,
    Unauthorized,
)
from pipeline.feed import Feed
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
    Priority,
    Send,
    ToldGuest,
)
from pipeline.outbox import Ending, Learnt
from pipeline.plugin import Destination
from pipeline.transform import next_step
from pipeline.wire import TIMEOUT, recorded_by

#: Requests under way at the same time.
_WORKERS = 8

#: A worker's lease: longer than waiting for the same guest's other request, and its own.
_LEASE = round((3 * TIMEOUT + 30) * SECOND)

_PAUSE = 1.0
_MINUTE = 60.0

#: The shortest wait for a slot, for clocks that do not agree to the microsecond.
_TICK = 0.001


class Deliverer:
    """The stage deliver, for one destination."""

    def __init__(
        self,
        name: str,
        destination: Destination,
        *,
        budget: Budget,
        lane: Lane,
        means: Means,
        owed: Feed[int],
    ) -> None:
        self.lane = lane
        self.budget = budget
        self._name = name
        self._destination = destination
        self._outbox = means.outbox
        self._gatherer = means.gatherer
        self._owed = owed
        self._clock = means.clock
        self._log = means.log
        self._free = asyncio.Semaphore(_WORKERS)
        self._people: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._throttled = 0
        self._stopping = False

    async def run(self) -> None:
        """Work until stopped; what is under way is finished first."""
        async with asyncio.TaskGroup() as tasks:
            while not self._stopping:
                try:
                    delivery, probe = await self._choose()
                except OutboxUnavailable as exc:
                    self._log.error("outbox failed", stage="deliver", reason=str(exc))
                    await self._owed.wait(_PAUSE)
                    continue
                if delivery is not None:
                    await self._free.acquire()
                    self.budget.take()
                    work = self._work(delivery, is_probe=probe)
                    tasks.create_task(work, name=f"deliver d{delivery.id}")

    def stop(self) -> None:
        """Take no more deliveries."""
        self._stopping = True
        self._owed.ring()

    async def _choose(self) -> tuple[Delivery | None, bool]:
        """Lease what goes first, and tell whether it is a probe; None after each wait."""
        self._owed.take(self._owed.size)
        reach = self.budget.reach()
        pause = self.lane.breaker.wait()
        if self._free.locked() or pause or not reach:
            # The end of a request rings; the breaker and the allowance need their time.
            await self._owed.wait(pause or (_PAUSE if reach else self.budget.next_change()))
            return None, False
        now = self._clock.now()
        due = await self._outbox.deliveries.next_due(self._name)
        if due is None or due > now:
            await self._owed.wait(_MINUTE if due is None else (due - now) / SECOND)
            return None, False
        probe = self.lane.breaker.is_open
        if not self._destination.authorised():
            await self._authorise()
            return None, False
        delivery = await self._outbox.deliveries.claim(
            self._name, most=reach, probe=probe, now=now, until=now + _LEASE
        )
        if delivery is None:
            # What is due is of a class that must wait for a slot, or its guest is under way.
            full = reach == Priority.BACKFILL
            await self._owed.wait(_PAUSE if full else max(self.budget.next_change(), _TICK))
            return None, False
        if probe:
            self.lane.breaker.probing()
        await self.budget.space(delivery.priority)
        return delivery, probe

    async def _authorise(self) -> None:
        """Fetch a token, on a slot of its own: it is not known whether such requests count."""
        self.budget.take()
        self.lane.breaker.probing()
        attempt = self._attempt(None)
        try:
            with recorded_by(attempt):
                await self._destination.authorise()
        except PipelineError as exc:
            self._blame_lane(exc)
            await self._end_token(attempt, _outcome(exc), str(exc))
        except BaseException:
            self._settle_slot(attempt)
            raise
        else:
            self.lane.breaker.abandon()  # it tells of the token endpoint only
            await self._end_token(attempt, Outcome.OK, None)

    async def _end_token(self, attempt: Attempt, outcome: Outcome, note: str | None) -> None:
        self._settle_slot(attempt)
        if ending := attempt.ending(outcome, note):
            await self._outbox.ledger.close(ending)

    def _blame_lane(self, exc: PipelineError) -> None:
        if isinstance(exc, Throttled):
            exc = self._throttle(exc)
        failure = exc if isinstance(exc, LaneFailure) else LaneFailure(str(exc))
        self.lane.lane_failed(failure)
        self._log.warning("peer failed", destination=self._name, reason=failure.reason)

    def _throttle(self, exc: Throttled) -> Throttled:
        """Hold the lane for as long as the peer asks, else a minute, doubling."""
        pause = exc.after
        if pause is None:
            pause = min(self.budget.limit.per, _MINUTE) * 2 ** min(self._throttled, 6)
        self._throttled += 1
        self.budget.hold(pause)
        return Throttled(exc.reason, after=pause)

    async def _work(self, delivery: Delivery, *, is_probe: bool) -> None:
        attempt = self._attempt(delivery.id)
        try:
            await self._try(delivery, attempt)
        except OutboxUnavailable as exc:
            # Its lease ends by itself, and then the same truth is told again.
            self._log.error("outbox failed", stage="deliver", delivery=delivery.id, reason=str(exc))
        finally:
            if is_probe:
                self.lane.breaker.abandon()
            self._settle_slot(attempt)
            self._free.release()
            self._owed.ring()

    async def _try(self, delivery: Delivery, attempt: Attempt) -> None:
        try:
            await self._tell(delivery, attempt)
        except OutboxUnavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - the one place; the lane judges it
            if not isinstance(exc, PipelineError):
                self._log.error("failed unexpectedly", delivery=delivery.id, trace=trace(exc))
            if isinstance(exc, Reject) and attempt.status is not None:
                self.lane.succeeded()  # the peer answers, so it is not the peer's trouble
            failure = self._throttle(exc) if isinstance(exc, Throttled) else exc
            verdict = self.lane.judge(
                failure,
                item=delivery.id,
                attempts=delivery.attempts,
                first_failure_at=delivery.first_failure_at,
            )
            ending = attempt.ending(_outcome(exc), verdict.reason)
            await self._record(delivery, verdict, ending)

    async def _tell(self, delivery: Delivery, attempt: Attempt) -> None:
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
                case Nothing():
                    await self._outbox.deliveries.close(
                        delivery, DeliveryState.SKIPPED, "already told", None, now=now
                    )
                case NeedsGuest():
                    await self._outbox.deliveries.wait_for_guest(delivery, now=now)
                case Send():
                    await self._send(delivery, truth, step, attempt)

    async def _send(self, delivery: Delivery, truth: Truth, step: Send, attempt: Attempt) -> None:
        with recorded_by(attempt):
            answer = await self._destination.send(step.request)
        self.lane.succeeded()
        self._throttled = 0
        ending = attempt.ending(Outcome.OK, None)
        if ending is None:
            msg = "a request left without having been recorded"
            raise AssertionError(msg)
        self._settle_slot(attempt)
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
            self._log.warning("held back", delivery=delivery.id, reason=verdict.reason)
            return
        parked = verdict.fate is Fate.PARK
        state = DeliveryState.PARKED if parked else DeliveryState.SKIPPED
        await self._outbox.deliveries.close(delivery, state, verdict.reason, ending, now=now)
        self._log.info(state.value, delivery=delivery.id, reason=verdict.reason)

    def _attempt(self, delivery: int | None) -> Attempt:
        return Attempt(self._name, delivery, self._outbox.ledger, self._clock)

    def _settle_slot(self, attempt: Attempt) -> None:
        """Give back the slot of a request that never left, or start the window of one that did."""
        if attempt.settled:
            return
        attempt.settled = True
        if attempt.left:
            self.budget.ended()
        else:
            self.budget.give_back()

    def _lock(self, person: str | None) -> asyncio.Lock:
        return self._people.setdefault(person or "", asyncio.Lock()) if person else asyncio.Lock()


def _learnt(truth: Truth, step: Send, answer: Answer) -> Learnt:
    """Say what the destination knows now, with the id that it gave."""
    if isinstance(step.told, ToldGuest):
        remote_id = answer.remote_id or step.told.remote_id
        told = msgspec.structs.replace(step.told, remote_id=remote_id)
        return Learnt(key=truth.person or "", told=told)
    assert truth.booking is not None  # noqa: S101 - a booking's request was made from it
    return Learnt(key=booking_key(truth.source, truth.booking.id), told=step.told)


def _outcome(exc: Exception) -> Outcome:
    """Name how a request ended, from the exception it ended in."""
    if isinstance(exc, Throttled):
        return Outcome.RATE_LIMITED
    if isinstance(exc, NoAnswer):
        return Outcome.UNKNOWN
    return (
        Outcome.REJECTED if isinstance(exc, Reject | Unauthorized | TokenRefused) else Outcome.RETRY
    )
