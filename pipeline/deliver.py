"""Sends what is owed, spending the destination's allowance as well as it can be spent.

One of these runs for each destination. It waits for a slot, then chooses, then sends: what goes is
decided as late as possible, so the newest truth and the most urgent work win.
"""

import asyncio
import functools
from collections.abc import Mapping

from aiolimiter import AsyncLimiter

from pipeline.attempt import Attempt
from pipeline.budget import Budget
from pipeline.clock import SECOND
from pipeline.errors import OutboxUnavailable, PipelineError
from pipeline.feed import Feed
from pipeline.fetch import Fetcher
from pipeline.guest import FRESH, is_fresh
from pipeline.lane import Lane
from pipeline.log import trace
from pipeline.means import Means
from pipeline.model import Delivery, Outcome, Priority
from pipeline.outbox import Pick
from pipeline.plugin import Destination
from pipeline.tell import Teller, held, outcome_of
from pipeline.turn import Begun, Turn
from pipeline.wire import TIMEOUT, recorded_by

#: Requests under way at the same time.
_WORKERS = 8

#: A worker's lease: longer than waiting for all others, should they tell of the same guest, and
#: its own request.
_LEASE = round((_WORKERS + 1) * TIMEOUT * SECOND)

#: Token requests in seconds. Stampede allows 20 a minute; this bucket lets 19 into the worst one.
_TOKENS = (10, 60.0)

#: What is begun goes on within this part of a window: before what was looked up is too old.
_SOON = 3

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
        fetchers: Mapping[str, Fetcher],
        owed: Feed[int],
    ) -> None:
        self.lane = lane
        self.budget = budget
        self._name = name
        self._destination = destination
        self._teller = Teller(
            name,
            destination,
            budget=budget,
            lane=lane,
            means=means,
            fetchers=fetchers,
        )
        self._outbox = means.outbox
        self._owed = owed
        self._clock = means.clock
        self._log = means.log
        self._turn = Turn(destination.sources)
        self._soon = round(budget.limit.per * SECOND) // _SOON
        self._under_way: set[int] = set()
        self._free = asyncio.Semaphore(_WORKERS)
        self._token_pace = AsyncLimiter(*_TOKENS)
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
                except Exception as exc:  # noqa: BLE001 - one lane must not end the daemon
                    self._log.error("failed unexpectedly", stage="deliver", trace=trace(exc))
                    self.lane.stumbled(exc)
                    continue
                if delivery is not None:
                    await self._free.acquire()
                    self._under_way.add(delivery.id)
                    attempt = self._attempt(delivery)
                    work = self._work(delivery, attempt, is_probe=probe)
                    tasks.create_task(work, name=f"deliver d{delivery.id}")

    def stop(self) -> None:
        """Take no more deliveries."""
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Look at the outbox at once."""
        self._owed.ring()

    async def _choose(self) -> tuple[Delivery | None, bool]:
        """Lease what goes first, and tell whether it is a probe; None after each wait."""
        self._owed.take(self._owed.size)
        pause, probe = self.lane.breaker.wait(), self.lane.breaker.is_open
        if probe:
            self.budget.pass_by()  # a probe is what was tried least, of whatever class
        elif self.budget.must_keep():
            await self._keep()
        reach, lesser = self.budget.reach(), self.budget.is_for_lesser()
        if self._free.locked() or pause or not (reach or lesser):
            # The end of a request rings; the breaker and the allowance need their time.
            await self._owed.wait(pause or (_PAUSE if reach else self.budget.next_change()))
            return None, False
        now = self._clock.now()
        most = max(reach, Priority.TAG) if lesser else reach
        due = await self._outbox.deliveries.next_due(self._name, most=most)
        if due is None or due > now:
            # A class that must wait for its slot may be due before that.
            await self._wait(_MINUTE if due is None else (due - now) / SECOND, reach)
            return None, False
        if not self._destination.authorised():
            if self._token_pace.has_capacity():
                await self._token_pace.acquire()
                await self._authorise()
            else:
                await self._owed.wait(_PAUSE)
            return None, False
        delivery = await self._claim(reach, lesser=lesser, probe=probe, now=now)
        if delivery is None:
            # What is due is of a class that must wait for a slot, or its guest is under way.
            await self._wait(_MINUTE if reach < Priority.BACKFILL else _PAUSE, reach)
            return None, False
        if self.lane.breaker.is_open is not probe or not self._may_go(delivery.priority):
            # An answer that came meanwhile has changed what may go.
            await self._outbox.deliveries.give_back(
                delivery, None, due_at=now, reason=None, failed=False, now=now
            )
            return None, False
        if probe:
            self.lane.breaker.probing()
        self._turn.served(delivery.priority, delivery.source)
        return delivery, probe

    async def _keep(self) -> None:
        """Keep a slot for visits and tags, if any is due."""
        due = await self._outbox.deliveries.next_due(
            self._name, least=Priority.VISIT, most=Priority.TAG
        )
        if due is not None and due <= self._clock.now():
            self.budget.keep()
        else:
            self.budget.pass_by()

    async def _claim(self, reach: int, *, lesser: bool, probe: bool, now: int) -> Delivery | None:
        """Lease what goes first: now and then the oldest of those that others go before."""
        claim = functools.partial(
            self._outbox.deliveries.claim,
            self._name,
            under_way=self._under_way,
            now=now,
            until=now + _LEASE,
        )
        if lesser:
            if delivery := await claim(self._turn.lesser(), pick=Pick.OLDEST):
                return delivery
            self.budget.pass_by()
        if probe:
            lines = self._turn.lines(reach, self.budget.admits)
            return await claim(lines, pick=Pick.LEAST_TRIED)
        lines = self._turn.lines(reach, self.budget.admits, await self._begun())
        return await claim(lines, pick=Pick.FIRST)

    async def _begun(self) -> Begun:
        """Say when new bookings go on that are begun: after the first requests of a few others.

        Who comes new hardly ever waits to be begun; the price is that some are told later, as `make
        bench` shows. In a rush all go by age, which tells the most of them soonest, and in any case
        what is begun is finished while what was looked up for it is still true.
        """
        if self.budget.limit.per * SECOND > FRESH:
            # What is looked up with the last slots of a window is too old when the next one begins.
            return Begun.FIRST
        few = self.budget.for_newcomers
        queue = await self._outbox.deliveries.queue(self._name, Priority.NEW, most=few + 1)
        if queue.begun_since is None:
            return Begun.LATER
        if queue.new > few or not is_fresh(queue.begun_since, self._clock.now(), self._soon):
            return Begun.FIRST
        return Begun.NOT_YET if self.budget.is_for_newcomers() else Begun.LATER

    def _may_go(self, priority: int) -> bool:
        """Tell whether there still is a slot for this class."""
        if priority <= self.budget.reach():
            return True
        return priority in {Priority.VISIT, Priority.TAG} and self.budget.is_for_lesser()

    async def _wait(self, seconds: float, reach: int) -> None:
        """Wait so long, or until more may go than now."""
        if reach < Priority.BACKFILL:
            seconds = min(seconds, max(self.budget.next_change(), _TICK))
        await self._owed.wait(seconds)

    async def _authorise(self) -> None:
        """Fetch a token, on a slot of its own: it is not known whether such requests count."""
        self.lane.breaker.probing()
        attempt = self._attempt(None)
        outcome, note = Outcome.OK, None
        try:
            with recorded_by(attempt):
                await self._destination.authorise()
            self.lane.breaker.abandon()  # it tells of the token endpoint only
        except OutboxUnavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - the lane judges it
            if not isinstance(exc, PipelineError):
                self._log.error("failed unexpectedly", destination=self._name, trace=trace(exc))
            outcome, note = outcome_of(exc), self.lane.stumbled(held(exc, self.budget)).reason
            self._log.warning("peer failed", destination=self._name, reason=note)
        finally:
            attempt.settle()
        if ending := attempt.ending(outcome, note):
            await self._outbox.ledger.close(ending)

    async def _work(self, delivery: Delivery, attempt: Attempt, *, is_probe: bool) -> None:
        try:
            await self._teller.tell(delivery, attempt)
        except OutboxUnavailable as exc:
            # Its lease ends by itself, and then the same truth is told again.
            self._log.error("outbox failed", stage="deliver", delivery=delivery.id, reason=str(exc))
        except Exception as exc:  # noqa: BLE001 - likewise; it failed where it was to be recorded
            self._log.error("failed unexpectedly", delivery=delivery.id, trace=trace(exc))
        finally:
            if is_probe:
                self.lane.breaker.abandon()
            attempt.settle()
            self._under_way.discard(delivery.id)
            self._free.release()
            self._owed.ring()

    def _attempt(self, delivery: Delivery | None) -> Attempt:
        """Take a slot; a token's is nobody's."""
        return Attempt(
            self._name,
            delivery.id if delivery else None,
            self.budget,
            self._outbox.ledger,
            self._clock,
            priority=delivery.priority if delivery else Priority.URGENT,
            source=delivery.source if delivery else None,
        )
