"""Sends what is owed, spending the destination's allowance as well as it can be spent.

One of these runs for each destination. It waits for a slot, then chooses, then sends: what goes is
decided as late as possible, so the newest truth and the most urgent work win.
"""

import asyncio
from collections.abc import Mapping

from aiolimiter import AsyncLimiter

from pipeline.attempt import Attempt
from pipeline.budget import Budget
from pipeline.clock import SECOND
from pipeline.errors import OutboxUnavailable, PipelineError
from pipeline.feed import Feed
from pipeline.fetch import Fetcher
from pipeline.lane import Lane
from pipeline.log import trace
from pipeline.means import Means
from pipeline.model import Delivery, Outcome, Priority
from pipeline.plugin import Destination
from pipeline.tell import Teller, held, outcome_of
from pipeline.wire import TIMEOUT, recorded_by

#: Requests under way at the same time.
_WORKERS = 8

#: A worker's lease: longer than waiting for all others, should they tell of the same guest, and
#: its own request.
_LEASE = round((_WORKERS + 1) * TIMEOUT * SECOND)

#: Token requests in seconds. Stampede allows 20 a minute; this bucket lets 19 into the worst one.
_TOKENS = (10, 60.0)

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
            name, destination, budget=budget, lane=lane, means=means, fetchers=fetchers
        )
        self._outbox = means.outbox
        self._owed = owed
        self._clock = means.clock
        self._log = means.log
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
                    work = self._work(delivery, self._attempt(delivery.id), is_probe=probe)
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
        reach = self.budget.reach()
        pause, probe = self.lane.breaker.wait(), self.lane.breaker.is_open
        if self._free.locked() or pause or not reach:
            # The end of a request rings; the breaker and the allowance need their time.
            await self._owed.wait(pause or (_PAUSE if reach else self.budget.next_change()))
            return None, False
        now = self._clock.now()
        due = await self._outbox.deliveries.next_due(self._name, most=reach)
        if due is None or due > now:
            # A class that must wait for its slot may be due before that.
            pause = _MINUTE if due is None else (due - now) / SECOND
            if reach < Priority.BACKFILL:
                pause = min(pause, max(self.budget.next_change(), _TICK))
            await self._owed.wait(pause)
            return None, False
        if not self._destination.authorised():
            await self._token_pace.acquire()
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
        if self.lane.breaker.is_open is not probe or not self.budget.left():
            # An answer that came meanwhile has changed what may go.
            await self._outbox.deliveries.give_back(
                delivery, None, due_at=now, reason=None, failed=False, now=now
            )
            return None, False
        if probe:
            self.lane.breaker.probing()
        await self.budget.space(delivery.priority)
        return delivery, probe

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
            self._free.release()
            self._owed.ring()

    def _attempt(self, delivery: int | None) -> Attempt:
        return Attempt(self._name, delivery, self.budget, self._outbox.ledger, self._clock)
