"""What must be true, told without the code that makes it true: a plain memory of what happened.

Times are seconds of the simulation. A guest record is named by venue and customer; a person is an
e-mail.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pipeline.model import Consent, Guest, Phase

Record = tuple[str, str]

#: For so long guests' details, and what Stampede says of them, may be relied on; and what a request
#: and its answer may take on top of it.
FRESH = 900.0
SLACK = 60.0
#: What was fetched this recently may not have reached a request that was being made.
RACE = 2.0

CHANNELS = ("data", "email", "sms")


@dataclass(frozen=True, kw_only=True)
class Said:
    """A booking as one webhook says it."""

    at: float
    order: int
    customer: str | None
    phase: Phase
    amount: int
    #: When it reached us first.
    came: float


@dataclass(frozen=True, kw_only=True)
class Told:
    """A guest's call that was answered with success."""

    left: float
    answered: float
    email: str
    record: Record
    consent: dict[str, bool]


@dataclass
class Model:
    """All that happened so far at some venues, and at one Stampede that is told of them."""

    trusting: bool = False
    venues: Sequence[str] = ()
    #: Each record's details, and since when they are so; and when ROLLER told us which.
    versions: dict[Record, list[tuple[float, Guest]]] = field(default_factory=dict)
    fetched: dict[Record, list[tuple[float, Guest]]] = field(default_factory=dict)
    bookings: dict[tuple[str, str], list[Said]] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    crashes: list[float] = field(default_factory=list)
    set_back: list[float] = field(default_factory=list)
    #: What guests did at Stampede: when, who, which channel, what; and who left with what.
    wishes: list[tuple[float, str, str, bool]] = field(default_factory=list)
    left: list[tuple[float, str, dict[str, bool]]] = field(default_factory=list)

    def beside(self, venues: Sequence[str]) -> "Model":
        """Make the model of another Stampede: what happens at ROLLER and to us happens to both."""
        return Model(
            trusting=self.trusting,
            venues=venues,
            versions=self.versions,
            fetched=self.fetched,
            bookings=self.bookings,
            crashes=self.crashes,
            set_back=self.set_back,
        )

    @property
    def records(self) -> list[Record]:
        """All guest records of these venues."""
        return [one for one in self.versions if one[0] in self.venues]

    # --- What may be sent ---

    def may_say_yes(
        self, email: str, record: Record, channel: str, *, exists: bool, now: float
    ) -> bool:
        """Tell whether a yes may be sent to a guest who has a no at Stampede, or is not there."""
        if any(self._newly_said(one, email, channel, now) for one in self.records):
            return True
        if any(
            now - at <= FRESH + SLACK + self.stretched(now) for at in self._just(email, channel)
        ):
            return True  # we cannot have known
        told = [one for one in self._known(now) if one.email == email]
        if not self._says(record, channel, now, yes=True):
            return False
        if not told:
            return self.trusting or not exists
        # The last of which we must know, and those after it of which we may.
        return not exists and any(
            one.consent[channel] for one in self.told
            if one.email == email and one.left >= told[-1].left
        )  # fmt: skip

    def is_current(self, record: Record, first: str | None, phone: str | None, now: float) -> bool:
        """Tell whether a guest's details are those that were fetched last, and lately."""
        fetched = [(at, one) for at, one in self.fetched.get(record, []) if at <= now]
        oldest = now - FRESH - SLACK - self.stretched(now)
        recent = [one for at, one in fetched[-1:] if at >= oldest]
        recent += self._just_replaced(fetched, now)
        return any((one.first, one.phone) == (first, phone) for one in recent)

    def says_no(self, record: Record, now: float) -> bool:
        """Tell whether a record's last word is a no, to anything."""
        fetched = self.fetched.get(record, [])
        last = [one for _, one in fetched[-1:]] + self._just_replaced(fetched, now)
        return any(Consent.NO in {one.consent.email, one.consent.sms} for one in last)

    def takes_back(self, record: Record, now: float) -> bool:
        """Tell whether a record says no where it has said yes: that waits for nothing."""
        said = [one.consent for _, one in self.fetched.get(record, [])]
        said_yes = any(Consent.YES in {one.email, one.sms} for one in said)
        return said_yes and self.says_no(record, now)

    def _just_replaced(self, fetched: Sequence[tuple[float, Guest]], now: float) -> list[Guest]:
        """Give the details that a request may still have been made from."""
        return [one for (_, one), (at, _) in pairwise(fetched) if at >= now - RACE]

    def stretched(self, now: float) -> float:
        """Tell by how much our time is too short, for the wall clock was set back in it."""
        return 1e9 if any(now - at <= 3 * FRESH for at in self.set_back) else 0.0

    def _just(self, email: str, channel: str) -> Iterator[float]:
        """Tell when the guest took something back at Stampede, or left."""
        yield from (
            at for at, who, what, wanted in self.wishes
            if who == email and what in {channel, "all"} and not wanted
        )  # fmt: skip
        yield from (at for at, who, had in self.left if who == email and had[channel])

    def _newly_said(self, record: Record, email: str, channel: str, now: float) -> bool:
        """Tell whether a record has come to say yes, and we have not told that yet."""
        seen = [at for at, _ in self.fetched.get(record, []) if at <= now]
        return any(
            self._says(record, channel, before, yes=False)
            and self._says(record, channel, at, yes=True)
            and not any(
                (one.record, one.email) == (record, email)
                and one.left > at + RACE
                and (one.consent[channel] or self._only(record, channel, one.left, Consent.YES))
                for one in self._known(now)
            )
            for before, at in pairwise(seen)
        )

    def _says(self, record: Record, channel: str, now: float, *, yes: bool) -> bool:
        """Tell whether what was fetched of a record may say so; unknown takes nothing back."""
        seen = [(at, one) for at, one in self.fetched.get(record, []) if at <= now]
        ends = [
            n for n, (at, _) in enumerate(seen) if n == len(seen) - 1 or seen[n + 1][0] > now - RACE
        ]
        for end in ends:
            for begin in range(end + 1):
                by_email = by_sms = Consent.UNKNOWN
                for _, one in seen[begin : end + 1]:
                    by_email = one.consent.email if one.consent.email != "unknown" else by_email
                    by_sms = one.consent.sms if one.consent.sms != "unknown" else by_sms
                said = by_sms if channel == "sms" and by_sms != "unknown" else by_email
                if (said == "yes") is yes:
                    return True
        return False

    def _known(self, now: float) -> list[Told]:
        """Give the calls of whose success we must know: none that a crash came right after."""
        return [
            one for one in self.told
            if one.answered <= now - RACE
            and not any(one.answered <= at <= one.answered + RACE for at in self.crashes)
        ]  # fmt: skip

    # --- What must be true in the end ---

    def newest(self) -> dict[tuple[str, str], Said]:
        """Give each booking's newest state."""
        return {
            booking: max(said, key=lambda one: (one.at, one.order))
            for booking, said in self.bookings.items()
            if booking[0] in self.venues
        }

    def since(self, record: Record, at: float) -> list[Guest]:
        """Give a record's details as they were then, and all later ones."""
        all_ = self.versions[record]
        return [one for n, (_, one) in enumerate(all_) if n == len(all_) - 1 or all_[n + 1][0] > at]

    def emails(self, record: Record) -> set[str]:
        """Give all e-mails that a record ever had."""
        return {one.email for _, one in self.versions[record] if one.email}

    def changed_email(self, record: Record) -> bool:
        """Tell whether a record ever had another e-mail, or none."""
        return len({one.email for _, one in self.versions[record]}) > 1

    def has_left(self, email: str, since: float) -> bool:
        """Tell whether a guest has left Stampede since then."""
        return any(who == email and at >= since for at, who, _ in self.left)

    def wanted(self, email: str, channel: str) -> bool | None:
        """Give what a channel must be in the end; None where more than one thing may be."""
        found = {self._wanted(record, email, channel) for record in self.records}
        return next(iter(found - {None}), None) if len(found - {None}) == 1 else None

    def _wanted(self, record: Record, email: str, channel: str) -> bool | None:
        """Give what a record's change wants, if nothing newer can stand against it."""
        value = self._settled(record, email, channel)
        if value is None or not self._is_change(record, email, channel, value):
            return None
        if value is Consent.NO:
            return None if self._may_want_it_again(record, email, channel) else False
        # Whoever says something else may have said it later.
        others = [one for one in self.records if one != record and email in self.emails(one)]
        wishes = [who for _, who, _, _ in self.wishes if who == email]
        return None if others or wishes or self.has_left(email, 0.0) else True

    def _may_want_it_again(self, record: Record, email: str, channel: str) -> bool:
        """Tell whether anybody may have said yes besides this record."""
        others = [one for one in self.records if one != record and email in self.emails(one)]
        return any(self._ever(one, Consent.YES) for one in others) or any(
            who == email and what in {channel, "all"} for _, who, what, _ in self.wishes
        )

    def has_heard_no(self, email: str, channel: str) -> bool:
        """Tell whether a record took back what was told, by what ROLLER has told us last.

        On whatever occasion that was, and for whichever Stampede.
        """
        return any(self._took_back(record, email, channel) for record in self.records)

    def _took_back(self, record: Record, email: str, channel: str) -> bool:
        fetched = self.fetched.get(record, [])
        turned = _since_when_no(fetched, channel)
        if turned is None or {one.email for _, one in fetched} != {email}:
            return False
        return self._was_told(record, email, channel, turned, Consent.YES) and not (
            self._may_want_it_again(record, email, channel)
        )

    def _settled(self, record: Record, email: str, channel: str) -> Consent | None:
        """Give what a record says since its newest booking came; None unless it is one thing."""
        came = [
            said.came
            for (where, _), said in self.newest().items()
            if (where, said.customer) == record and said.phase is Phase.ACTIVE
        ]
        last = self.since(record, max(came)) if came else []
        if not all(map(sendable, last)) or {one.email for one in last} != {email}:
            return None
        values = {_field(one, channel) for one in last}
        value = values.pop()
        return None if values or value is Consent.UNKNOWN else value

    def _is_change(self, record: Record, email: str, channel: str, value: Consent) -> bool:
        """Tell whether the contrary was told before, and the record has come to say this since."""
        before = [at for at, one in self.versions[record] if _field(one, channel) is not value]
        if not before:
            return False
        turned = min(
            at
            for at, one in self.versions[record]
            if at > max(before) and _field(one, channel) is value
        )
        contrary = Consent.NO if value is Consent.YES else Consent.YES
        return self._was_told(record, email, channel, turned, contrary)

    def _was_told(
        self, record: Record, email: str, channel: str, before: float, value: Consent
    ) -> bool:
        """Tell whether Stampede must have been told this of a record by then."""
        return any(
            (one.record, one.email) == (record, email)
            and one.answered < before
            and self._only(record, channel, one.left, value)
            for one in self._known(before)
        )

    def _only(self, record: Record, channel: str, left: float, value: Consent) -> bool:
        """Tell whether a call can only have meant this."""
        seen = [one for at, one in self.fetched.get(record, []) if at <= left]
        return bool(seen) and _field(seen[-1], channel) is value

    def _ever(self, record: Record, value: Consent) -> bool:
        return any(
            value in (one.consent.email, one.consent.sms) for _, one in self.versions[record]
        )


def _since_when_no(fetched: Sequence[tuple[float, Guest]], channel: str) -> float | None:
    """Tell when a record came to say the no that it said last; None if that is no no."""
    since = None
    for at, one in reversed(fetched):
        if _field(one, channel) is not Consent.NO:
            return since
        since = at
    return None  # it never said anything else


def sendable(guest: Guest) -> bool:
    """Tell whether a guest may be told at all."""
    return bool(guest.email) and guest.born is None


def _field(guest: Guest, channel: str) -> Consent:
    return guest.consent.sms if channel == "sms" else guest.consent.email
