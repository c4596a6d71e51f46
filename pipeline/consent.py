"""What a destination is told of a guest's consent, channel by channel.

Consent comes from the source with three values: yes, no, and unknown, which an absent flag is. A
destination's call knows two, and overwrites what it had, also what the guest has said there. One
person can be a customer of several venues, so what was said is remembered by customer record. The
first of these rules that fits decides; `there` is what the guest has at the destination itself.

1. A record that we know has *changed*: it says yes and its last known word was no, or the other way
   round. That is what the guest wants now, so it is sent; unless another record has changed since,
   and at equal times no wins.
2. A further record of a person who was told says no when it is first seen: no is sent.
3. The destination has no such guest: a yes is sent as yes, and everything else as no. To somebody
   who was told before and is gone from there, a yes is sent only if yes was sent last.
4. We have never told the destination of this person, and are to trust: likewise.
5. Otherwise what is there is repeated, for it has to be sent along, and is the guest's own.

So nobody is subscribed again by an old yes, nor by a flag that the source begins to tell; and a
first no, which may be a box that nobody ticked, takes back nothing that was given elsewhere. Rules
1 and 2 need nobody to be asked; rule 5 needs to have asked the destination, and so does rule 3.

A call that was not answered may have been heard: a yes in it can be taken back like one that was
sent. A call that is made again says its yes again; one that is not, a registration, has said it.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from pipeline.model import Change, Consent, GuestConsent, Presence, ToldConsent
from pipeline.plugin import ConsentFeeds

Feed = Literal["email", "sms", "sms_or_email", "never"]

_CHANNELS = ("data", "email", "sms")


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What one customer record says now."""

    #: Names the record: source/customer.
    record: str
    said: GuestConsent
    #: When the source said so.
    at: int


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What a destination was told of a person's consent."""

    #: None for a person of whom it was never told.
    told: ToldConsent | None = None
    #: What it may have been told besides, in calls that were not answered: of those that are not
    #: made again, and of the one that is.
    maybe: tuple[ToldConsent, ...] = ()
    again: ToldConsent | None = None

    def may_have(self) -> Iterator[ToldConsent]:
        """Give all that may have been told and is not known to have been."""
        yield from self.maybe
        if self.again is not None:
            yield self.again

    def says(self, channel: str) -> bool:
        """Tell whether a yes was sent last, or may have been."""
        is_sent = self.told is not None and bool(getattr(self.told, channel))
        return is_sent or any(getattr(one, channel) for one in self.may_have())


def decide(
    statement: Statement,
    history: History,
    presence: Presence | None,
    feeds: ConsentFeeds,
    *,
    trusting: bool,
    is_old: bool = False,
) -> ToldConsent | None:
    """Give what to send and what stands behind it; None when the destination must be asked first.

    `presence` is None while it has not been asked. What a statement takes back counts however old
    it is; a yes that is new in it does not: who said it may have said no since.
    """
    told = history.told
    sent: dict[str, bool] = {}
    changed = dict(told.changed) if told else {}
    for name in _CHANNELS:
        channel = _Channel(name, statement, history, feeds)
        value = channel.by_itself()
        if value is False or (value and not is_old):
            changed[name] = Change(at=statement.at, record=statement.record)
        elif presence is not None:
            value = channel.beside(presence)
        elif trusting and told is None and not history.maybe:
            value = channel.value is Consent.YES
        else:
            return None
        sent[name] = value
    return ToldConsent(**sent, changed=changed, behind=_behind(statement, told))


def moves(statement: Statement, history: History, feeds: ConsentFeeds) -> bool:
    """Tell whether a person who was told has anything new to say."""
    found = (_Channel(name, statement, history, feeds) for name in _CHANNELS)
    return any(one.change() is not None or one.lowers() for one in found)


def opts_out(statement: Statement, history: History, feeds: ConsentFeeds) -> bool:
    """Tell whether a person who was told, or may have been, takes something back."""
    found = (_Channel(name, statement, history, feeds) for name in _CHANNELS)
    return any(one.change() is False or one.lowers() for one in found)


def remembered(said: GuestConsent, before: GuestConsent | None) -> GuestConsent:
    """Give what a record is known to say: unknown takes nothing back."""
    if before is None:
        return said
    return GuestConsent(
        email=before.email if said.email is Consent.UNKNOWN else said.email,
        sms=before.sms if said.sms is Consent.UNKNOWN else said.sms,
    )


def _behind(statement: Statement, told: ToldConsent | None) -> dict[str, GuestConsent]:
    """Give what each record is known to have said last."""
    behind = dict(told.behind) if told else {}
    behind[statement.record] = remembered(statement.said, behind.get(statement.record))
    return behind


class _Channel:
    """One channel of one person."""

    def __init__(
        self, name: str, statement: Statement, history: History, feeds: ConsentFeeds
    ) -> None:
        self._name = name
        self._statement = statement
        self._history = history
        self._feed = getattr(feeds, name)
        self._last = history.told.changed.get(name) if history.told else None
        before = history.told.behind.get(statement.record) if history.told else None
        #: What the record is known to say, and said last; None when it is seen for the first time.
        self.value = _feeding(self._feed, remembered(statement.said, before))
        self._before = None if before is None else _feeding(self._feed, before)

    def change(self) -> bool | None:
        """Give what the record says now and did not say before; None when nothing is new (1)."""
        if not self._is_newest():
            return None
        was_no = self._before is Consent.NO and not self._said_yes(self._history.maybe)
        if self.value is Consent.YES and was_no:
            return True
        was_yes = self._before is Consent.YES or self._said_yes(self._history.may_have())
        if self.value is Consent.NO and was_yes:
            return False
        return None

    def lowers(self) -> bool:
        """Tell whether a further record takes back what was sent (2)."""
        return self._is_first_no() and self._history.says(self._name)

    def by_itself(self) -> bool | None:
        """Decide by what was said alone; None when it depends on what is there."""
        return False if self._is_first_no() else self.change()

    def beside(self, presence: Presence) -> bool:
        """Decide by what is there, where what was said does not."""
        if presence.remote_id is not None:
            return bool(getattr(presence, self._name))
        was_told = self._history.told is not None
        return self.value is Consent.YES and (not was_told or self._history.says(self._name))

    def _is_first_no(self) -> bool:
        was_told = self._history.told is not None or any(self._history.may_have())
        return was_told and self._before is None and self.value is Consent.NO

    def _said_yes(self, maybe: Iterable[ToldConsent]) -> bool:
        record = self._statement.record
        said = (one.behind[record] for one in maybe if record in one.behind)
        return any(_feeding(self._feed, one) is Consent.YES for one in said)

    def _is_newest(self) -> bool:
        """Tell whether no other record has changed since; the same one's word is its newest."""
        last, at = self._last, self._statement.at
        if last is None or last.record == self._statement.record:
            return True
        return at >= last.at if self.value is Consent.NO else at > last.at


def _feeding(feed: str, known: GuestConsent) -> Consent:
    match feed:
        case "email":
            return known.email
        case "sms":
            return known.sms
        case "sms_or_email":
            # As in Stampede's own integration, until the guest was asked about SMS for once.
            return known.email if known.sms is Consent.UNKNOWN else known.sms
        case _:
            return Consent.UNKNOWN
