"""What a destination is told of a guest's consent.

Consent comes with three values: yes, no, and unknown, which an absent flag is. A destination's
call knows two and overwrites what it had. So the rule is: at the first contact a known yes is sent
as yes and everything else as no; later only a *change* of the source is sent, that is a known value
that differs from the last known one. A flag that is merely absent changes nothing.
"""

from typing import Literal

from pipeline.model import Consent, GuestConsent, ToldConsent
from pipeline.plugin import ConsentFeeds

Feed = Literal["email", "sms", "sms_or_email", "never"]


def decide(now: GuestConsent, told: ToldConsent | None, feeds: ConsentFeeds) -> ToldConsent:
    """Give what to send, and what of the source stands behind it."""
    known = remembered(now, told.behind if told else GuestConsent())
    return ToldConsent(
        data=_channel(feeds.data, known, told, sent=told is not None and told.data),
        email=_channel(feeds.email, known, told, sent=told is not None and told.email),
        sms=_channel(feeds.sms, known, told, sent=told is not None and told.sms),
        behind=known,
    )


def remembered(now: GuestConsent, before: GuestConsent) -> GuestConsent:
    """Merge what the source says with what it said before: unknown takes nothing back."""
    return GuestConsent(
        email=before.email if now.email is Consent.UNKNOWN else now.email,
        sms=before.sms if now.sms is Consent.UNKNOWN else now.sms,
    )


def _channel(feed: str, known: GuestConsent, told: ToldConsent | None, *, sent: bool) -> bool:
    value = _feeding(feed, known)
    if told is None:
        return value is Consent.YES
    if value is Consent.UNKNOWN or value is _feeding(feed, told.behind):
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
