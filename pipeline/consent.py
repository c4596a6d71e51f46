"""What a destination is told of a guest's consent, channel by channel.

Consent comes from the source with three values: yes, no, and unknown, which an absent flag is. A
destination's call knows two, and overwrites what it had, also what the guest has said there. One
person can be a customer of several venues, so what was said is remembered by customer record. The
first of these rules that fits decides; `there` is what the guest has at the destination itself.

1. A record that we know has *changed*: a yes that was none before, or a no that was a yes before.
   That is what the guest wants now, so it is sent; unless another record has changed since, and at
   equal times no wins.
2. The destination has no such guest: a yes is sent as yes, and everything else as no. To somebody
   who was told before and is gone from there, a yes is sent only if yes was sent last.
3. We have never told the destination of this person, and are to trust: likewise.
4. A further record of a person who was told says no when it is first seen: no is sent.
5. Otherwise what is there is repeated, for it has to be sent along, and is the guest's own.

So nobody is subscribed again by an old yes, and a first no, which may be a box that nobody ticked,
takes back nothing that was given elsewhere. Rules 1 and 4 lower at once; rule 5 needs to have asked
the destination, and so does rule 2 where it is not to trust.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from pipeline.model import Channels, Consent, GuestConsent, Presence, ToldConsent
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


def may_have_told(told: ToldConsent | None, maybe: Iterable[ToldConsent]) -> ToldConsent | None:
    """Give what a person was told of at most, where of some of it (`maybe`) nobody knows.

    A yes that may have been told counts as one: so it can be taken back, and is not told as new.
    """
    for other in maybe:
        told = other if told is None else _either(told, other)
    return told


def _either(one: ToldConsent, other: ToldConsent) -> ToldConsent:
    behind = dict(one.behind)
    for record, said in other.behind.items():
        before = behind.get(record, GuestConsent())
        behind[record] = GuestConsent(
            email=_either_said(before.email, said.email), sms=_either_said(before.sms, said.sms)
        )
    return ToldConsent(
        **{name: getattr(one, name) or getattr(other, name) for name in _CHANNELS},
        changed=Channels(
            **{
                name: max(getattr(one.changed, name), getattr(other.changed, name))
                for name in _CHANNELS
            }
        ),
        behind=behind,
    )


def _either_said(one: Consent, other: Consent) -> Consent:
    if Consent.YES in {one, other}:
        return Consent.YES
    return other if one is Consent.UNKNOWN else one


def decide(
    statement: Statement,
    told: ToldConsent | None,
    presence: Presence | None,
    feeds: ConsentFeeds,
    *,
    trusting: bool,
) -> ToldConsent | None:
    """Give what to send and what stands behind it; None when the destination must be asked first.

    `told` is None for a person of whom the destination was never told, and `presence` while it has
    not been asked.
    """
    sent: dict[str, bool] = {}
    changed: dict[str, int] = {}
    for name in _CHANNELS:
        channel = _Channel(name, statement, told, feeds)
        value = channel.by_itself()
        if value is None and presence is not None:
            value = channel.beside(presence)
        elif value is None and trusting and told is None:
            value = channel.value is Consent.YES
        if value is None:
            return None
        sent[name] = value
        changed[name] = statement.at if channel.change() is not None else channel.changed_at
    return ToldConsent(**sent, changed=Channels(**changed), behind=_behind(statement, told))


def moves(statement: Statement, told: ToldConsent, feeds: ConsentFeeds) -> bool:
    """Tell whether a person who was told has anything new to say."""
    found = (_Channel(name, statement, told, feeds) for name in _CHANNELS)
    return any(one.change() is not None or one.lowers() for one in found)


def opts_out(statement: Statement, told: ToldConsent | None, feeds: ConsentFeeds) -> bool:
    """Tell whether a person who was told takes something back."""
    if told is None:
        return False
    found = (_Channel(name, statement, told, feeds) for name in _CHANNELS)
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
        self, name: str, statement: Statement, told: ToldConsent | None, feeds: ConsentFeeds
    ) -> None:
        self._name = name
        self._at = statement.at
        self._told = told
        feed = getattr(feeds, name)
        before = told.behind.get(statement.record) if told else None
        #: What the record is known to say, and said last; None when it is seen for the first time.
        self.value = _feeding(feed, remembered(statement.said, before))
        self._before = None if before is None else _feeding(feed, before)
        #: When the newest change that was sent came about; 0 without one.
        self.changed_at: int = getattr(told.changed, name) if told else 0

    def change(self) -> bool | None:
        """Give what the record says now and did not say before; None when nothing is new (1)."""
        if self._before is None or not self._is_newest():
            return None
        if self.value is Consent.YES and self._before is not Consent.YES:
            return True
        if self.value is Consent.NO and self._before is Consent.YES:
            return False
        return None

    def lowers(self) -> bool:
        """Tell whether a further record takes back what was sent (4)."""
        return self._is_first_no() and self._was_sent()

    def by_itself(self) -> bool | None:
        """Decide by what was said alone; None when it depends on what is there."""
        return False if self._is_first_no() else self.change()

    def beside(self, presence: Presence) -> bool:
        """Decide by what is there, where what was said does not."""
        if presence.remote_id is not None:
            return bool(getattr(presence, self._name))
        return self.value is Consent.YES and (self._told is None or self._was_sent())

    def _is_first_no(self) -> bool:
        return self._told is not None and self._before is None and self.value is Consent.NO

    def _was_sent(self) -> bool:
        return self._told is not None and bool(getattr(self._told, self._name))

    def _is_newest(self) -> bool:
        no = self.value is Consent.NO
        return self._at >= self.changed_at if no else self._at > self.changed_at


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
