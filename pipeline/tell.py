"""Tells a destination of one delivery: from what is true now, to what was recorded of it."""

import asyncio
from collections.abc import Mapping, Sequence
from weakref import WeakValueDictionary

import msgspec

from pipeline.attempt import Attempt
from pipeline.budget import Budget
from pipeline.chronicle import chronicle
from pipeline.errors import (
    Gone,
    NoAnswer,
    NotYet,
    OutboxUnavailable,
    PipelineError,
    Reject,
    Throttled,
    TokenRefused,
    Unauthorized,
    UnknownOutcome,
)
from pipeline.fetch import Fetcher
from pipeline.gather import Truth, booking_key
from pipeline.lane import Fate, Lane, Verdict
from pipeline.log import trace
from pipeline.means import Means
from pipeline.model import (
    OWN_CALL,
    Answer,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Facts,
    Later,
    NeedsFresh,
    NeedsGuest,
    Nothing,
    Outcome,
    Presence,
    Send,
    Sighting,
    ToldBooking,
    ToldConsent,
    ToldGuest,
)
from pipeline.outbox import Ending, Learnt
from pipeline.plugin import Destination
from pipeline.redact import private
from pipeline.transform import next_step
from pipeline.wire import recorded_by


class _Lost(NotYet):
    """A guest is gone from the destination: what it was told is forgotten, and told again."""

    def __init__(self, reason: str, forgotten: Sequence[Learnt]) -> None:
        super().__init__(reason)
        self.forgotten = forgotten


class Teller:
    """Makes and records the requests of one destination's deliveries."""

    def __init__(
        self,
        name: str,
        destination: Destination,
        *,
        budget: Budget,
        lane: Lane,
        means: Means,
        fetchers: Mapping[str, Fetcher],
    ) -> None:
        self._fetchers = fetchers
        self._name = name
        self._destination = destination
        self._budget = budget
        self._lane = lane
        self._outbox = means.outbox
        self._gatherer = means.gatherer
        self._clock = means.clock
        self._log = means.log
        #: By person, and by the destination's id of a guest; whoever needs both takes them so.
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
            understood = isinstance(exc, Reject | _Lost) and not isinstance(exc, UnknownOutcome)
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
            forgotten = exc.forgotten if isinstance(exc, _Lost) else ()
            await self._record(delivery, verdict, ending, forgotten)

    async def _next(self, delivery: Delivery, attempt: Attempt) -> None:
        """Make the delivery's next request from what is true now, and send it."""
        truth = await self._truth(delivery)
        if truth.guest is None and delivery.kind is DeliveryKind.CONSENT and delivery.customer:
            # Forgotten in a restore, and perhaps by then of interest to nobody else.
            await self._fetchers[delivery.source].refresh(delivery, delivery.customer)
            truth = await self._truth(delivery)
        if not await self._advance(delivery, truth, attempt):
            customer = truth.guest.customer if truth.guest else ""
            await self._fetchers[delivery.source].refresh(delivery, customer)
            if not await self._advance(delivery, await self._truth(delivery), attempt):
                raise NotYet("the guest is older than when it was fetched: the clock was set")

    async def _truth(self, delivery: Delivery) -> Truth:
        return await self._gatherer.truth(delivery.source, delivery.booking, delivery.customer)

    async def _advance(self, delivery: Delivery, truth: Truth, attempt: Attempt) -> bool:
        """Take the delivery's next step; False when the guest must be fetched anew first."""
        # One e-mail may be a customer of several venues, and is one guest at the destination.
        async with self._lock(truth.person):
            now = self._clock.now()
            facts = await self._gatherer.facts(
                truth, self._name, wary=delivery.wary, spacing=self._budget.spacing, now=now
            )
            step = next_step(
                delivery.kind, delivery.detail, facts, self._destination.mapper, self._outbox.seal
            )
            match step:
                case NeedsFresh():
                    return False
                case Nothing(reason=reason):
                    became = await self._outbox.deliveries.close(
                        delivery, DeliveryState.SKIPPED, reason, None, now=now
                    )
                    chronicle(self._log, became)
                case Later(at=at):
                    became = await self._outbox.deliveries.give_back(
                        delivery, None, due_at=at, reason=None, failed=False, now=now
                    )
                    chronicle(self._log, became)
                case NeedsGuest():
                    customer = truth.guest.customer if truth.guest else ""
                    became = await self._outbox.deliveries.wait_for_guest(
                        delivery, customer, now=now
                    )
                    chronicle(self._log, became)
                case Send():
                    # A booking that changed hands goes to its old guest first: somebody else's.
                    async with self._lock(_addressed(step)):
                        await self._send(delivery, truth, facts, step, attempt)
        return True

    async def _send(
        self, delivery: Delivery, truth: Truth, facts: Facts, step: Send, attempt: Attempt
    ) -> None:
        attempt.raises_doubt(_in_doubt(truth, facts, step))
        request = msgspec.structs.replace(step.request, private=await self._known_by(truth, step))
        with recorded_by(attempt):
            try:
                answer = await self._destination.send(request)
            except NoAnswer as exc:
                if not step.request.once:
                    raise
                self._lane.unanswered(exc, delivery.id)
                raise UnknownOutcome(exc.reason) from exc
            except Gone as exc:
                forgotten = _missing(truth, facts, step, delivery)
                if not forgotten:
                    raise  # the guest is there, so it is something else that is not
                raise _Lost(exc.reason, forgotten) from exc
        self._lane.succeeded()
        self._budget.answered()
        ending = attempt.ending(Outcome.OK, None)
        if ending is None:
            msg = "a request left without having been recorded"
            raise AssertionError(msg)
        attempt.settle()
        now = self._clock.now()
        if _is_made_anew(step, answer):
            step = msgspec.structs.replace(step, told=_as_made(step.told), more=True)
        learnt = _learnt(truth, step, answer, now)
        became = await self._outbox.deliveries.succeed(
            delivery, learnt, ending, more=step.more, now=now
        )
        self._log.info(
            "told in part" if step.more else "delivered",
            delivery=delivery.id,
            event=delivery.event,
            kind=delivery.kind,
            destination=self._name,
            attempt=ending.attempt,
        )
        chronicle(self._log, became)

    async def _known_by(self, truth: Truth, step: Send) -> tuple[str, ...]:
        """Give what the people are known by whom an answer may name."""
        known = private(truth.guest) if truth.guest else ()
        holder = step.told.customer if isinstance(step.told, ToldBooking) else None
        if holder and (truth.guest is None or truth.guest.customer != holder):
            # A booking that changed hands is cancelled at who had it.
            before = await self._outbox.facts.guest(truth.source, holder)
            known += private(before.guest) if before else ()
        return known

    async def _record(
        self,
        delivery: Delivery,
        verdict: Verdict,
        ending: Ending | None,
        forgotten: Sequence[Learnt],
    ) -> None:
        now = self._clock.now()
        attempt = ending.attempt if ending else None
        if verdict.fate is Fate.BACK:
            became = await self._outbox.deliveries.give_back(
                delivery,
                ending,
                due_at=verdict.due_at,
                reason=verdict.reason,
                failed=verdict.failed,
                learnt=forgotten,
                now=now,
            )
            request = {} if attempt is None else {"attempt": attempt}
            self._log.warning(
                "held back",
                delivery=delivery.id,
                event=delivery.event,
                **request,
                reason=verdict.reason,
            )
            chronicle(self._log, became)
            return
        parked = verdict.fate is Fate.PARK
        state = DeliveryState.PARKED if parked else DeliveryState.SKIPPED
        became = await self._outbox.deliveries.close(
            delivery, state, verdict.reason, ending, now=now
        )
        chronicle(self._log, became, attempt=attempt)

    def _lock(self, person: str | None) -> asyncio.Lock:
        return self._people.setdefault(person or "", asyncio.Lock()) if person else asyncio.Lock()


def _addressed(step: Send) -> str | None:
    """Name the guest at the destination whom a request is about; None of one who is not known."""
    return step.told.guest if isinstance(step.told, ToldBooking) else step.told.remote_id


def _learnt(truth: Truth, step: Send, answer: Answer, now: int) -> list[Learnt]:
    """Say what the destination knows now, with what it answered."""
    if answer.presence is not None and isinstance(step.told, ToldGuest):
        return [Learnt(key=truth.person or "", told=_seen(step.told, answer.presence, now))]
    if isinstance(step.told, ToldGuest):
        remote_id = answer.remote_id or step.told.remote_id
        told = msgspec.structs.replace(step.told, remote_id=remote_id)
        return [Learnt(key=truth.person or "", told=told)]
    booking = Learnt(key=_key(truth), told=step.told)
    return [booking, Learnt(key=truth.person or "", told=step.guest)] if step.guest else [booking]


def _is_made_anew(step: Send, answer: Answer) -> bool:
    """Tell whether a guest whom the destination had was gone, and is there again by another id."""
    before = step.told.remote_id if isinstance(step.told, ToldGuest) else None
    return None not in {before, answer.remote_id} and before != answer.remote_id


def _as_made(told: ToldGuest | ToldBooking) -> ToldGuest:
    """Keep of a guest who was made anew what that call said: consent, and perhaps no more."""
    assert isinstance(told, ToldGuest)  # noqa: S101 - see `_is_made_anew`
    return ToldGuest(consent=told.consent)


def _seen(told: ToldGuest, presence: Presence, now: int) -> ToldGuest:
    """Take note of what the destination said of a guest."""
    if presence.remote_id is None and told.remote_id is not None:
        # It was asked by the id it gave once; by the e-mail it may still know the guest.
        return _without_id(told)
    if told.seen:
        presence = msgspec.structs.replace(presence, pages=told.seen.presence.pages + 1)
    return msgspec.structs.replace(
        told,
        remote_id=presence.remote_id,
        missing=False,
        seen=Sighting(presence=presence, at=now),
    )


def _missing(truth: Truth, facts: Facts, step: Send, delivery: Delivery) -> list[Learnt]:
    """Say what is known once a guest seems to be gone; nothing where they were asked for already.

    The destination is asked for the guest before they are made anew, for a 404 can be about
    something else. A booking that was told to somebody who is gone was told to nobody.
    """
    told = facts.told_guest
    holder = step.told.guest if isinstance(step.told, ToldBooking) else step.told.remote_id
    if told and told.remote_id == holder:
        # One that is retried by hand begins anew: the guest may have left once more since.
        if told.asked_for == delivery.id and delivery.first_failure_at is not None:
            return []
        missing = msgspec.structs.replace(told, missing=True, asked_for=delivery.id)
        return [Learnt(key=truth.person or "", told=missing)]
    if isinstance(step.told, ToldBooking):
        nobody = ToldBooking(guest=None, customer=None, payload_hash="")
        return [Learnt(key=_key(truth), told=nobody)]
    return []


def _without_id(told: ToldGuest) -> ToldGuest:
    """Keep of a guest who is gone from the destination what concerns consent."""
    return ToldGuest(consent=told.consent, maybe=told.maybe, asked_for=told.asked_for)


def _in_doubt(truth: Truth, facts: Facts, step: Send) -> list[Learnt]:
    """Say what is known from the moment a request leaves until an answer comes.

    Of a registration, and of the consent that goes along: what may be yes can be taken back, and
    whoever changes back meanwhile must be told again.
    """
    told, person = facts.told_guest or ToldGuest(), truth.person or ""
    if step.request.once and isinstance(step.told, ToldBooking):
        key = _key(truth)
        doubt = msgspec.structs.replace(step.told, in_doubt=True, person=truth.person)
        found = [Learnt(key=key, told=doubt)]
        if step.guest and step.guest.consent:
            found.append(_maybe(person, told, key, step.guest.consent))
        return found
    if isinstance(step.told, ToldGuest) and step.told.consent and _is_of_guest(step.told, told):
        unknown = msgspec.structs.replace(told, payload_hash=None)
        return [_maybe(person, unknown, OWN_CALL, step.told.consent)]
    if isinstance(step.told, ToldBooking) and _comes_into_hands(step.told, facts):
        return [Learnt(key=_key(truth), told=msgspec.structs.replace(step.told, payload_hash=""))]
    return []


def _is_of_guest(now: ToldGuest, before: ToldGuest) -> bool:
    """Tell whether a request tells of the guest, and not of a tag, nor asks for the guest."""
    return (now.payload_hash, now.consent) != (before.payload_hash, before.consent)


def _maybe(person: str, told: ToldGuest, key: str, consent: ToldConsent) -> Learnt:
    return Learnt(key=person, told=msgspec.structs.replace(told, maybe=told.maybe | {key: consent}))


def _comes_into_hands(told: ToldBooking, facts: Facts) -> bool:
    """Tell whether somebody may hold a booking once its request has left, who did not before.

    It must then be cancelled there, should it change hands before anybody knows.
    """
    before = facts.told_booking
    return not told.cancelled and (before is None or before.guest != told.guest)


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
