"""What a destination is told of a guest's consent.

Consent comes with three values: yes, no, and unknown, which an absent flag is. A destination's
call knows two and overwrites what it had. One person can be a customer of several venues, so what
was said is remembered by customer record. The rules:

- At the first contact a known yes is sent as yes, and everything else as no.
- Later a *change* is sent: a known value that differs from the last known one of the same record.
- A record that is seen for the first time, of a person who was told before, may only lower.
- Otherwise what was sent is sent again; a flag that is merely absent changes nothing.
- What is fed from nothing ("never") is no.
"""

from typing import Literal

from pipeline.model import Consent, GuestConsent, ToldConsent
from pipeline.plugin import ConsentFeeds

Feed = Literal["email", "sms", "sms_or_email", "never"]


def decide(
    record: str, now: GuestConsent, told: ToldConsent | None, feeds: ConsentFeeds
) -> ToldConsent:
    """Give what to send, and what of the source stands behind it.

    `record` names the customer record that says `now`.
    """
    behind = dict(told.behind) if told else {}
    before = behind.get(record)
    known = remembered(now, before or GuestConsent())
    behind[record] = known

    def channel(feed: str, *, sent: bool) -> bool:
        was = None if before is None else _feeding(feed, before)
        return _channel(_feeding(feed, known), was, sent=sent)

    if told is None:
        yes = [_feeding(f, known) is Consent.YES for f in (feeds.data, feeds.email, feeds.sms)]
        return ToldConsent(data=yes[0], email=yes[1], sms=yes[2], behind=behind)
    return ToldConsent(
        data=feeds.data != "never" and channel(feeds.data, sent=told.data),
        email=feeds.email != "never" and channel(feeds.email, sent=told.email),
        sms=feeds.sms != "never" and channel(feeds.sms, sent=told.sms),
        behind=behind,
    )


def remembered(now: GuestConsent, before: GuestConsent) -> GuestConsent:
    """Merge what the source says with what it said before: unknown takes nothing back."""
    return GuestConsent(
        email=before.email if now.email is Consent.UNKNOWN else now.email,
        sms=before.sms if now.sms is Consent.UNKNOWN else now.sms,
    )


def _channel(value: Consent, before: Consent | None, *, sent: bool) -> bool:
    """Give what to send of one channel to a person who was told `sent`.

    `before` is what the same record said last; None when it is seen for the first time.
    """
    if before is None:
        return sent and value is not Consent.NO
    if value in {Consent.UNKNOWN, before}:
        return sent
    return value is Consent.YES


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
            return Consent.NO
