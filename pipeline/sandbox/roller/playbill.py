"""What a play is ordered to be."""

from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Play(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/play` takes: first the bookings, then what becomes of the people.

    Messages of bookings: bookings + updates + cancellations + duplicates + out_of_order. Then one
    per change of a guest, deletion, redeemed booking and signed waiver; and if a subscription asks
    for customers, one per purchase and one per record that a waiver makes or changes.
    """

    bookings: Positive = 25
    #: of `bookings`: without a customer, as from the till
    no_customer: Count = 0
    #: of `bookings`: drafts; their one message is an Updated, as drafts have no Created
    drafts: Count = 0
    #: different guests; None for one per booking
    guests: Positive | None = None
    #: further changes, each to a booking picked at random, drafts excepted
    updates: Count = 0
    cancellations: Count = 0
    #: bookings that get a further change which is delivered before their Created
    out_of_order: Count = 0
    #: messages of bookings that are sent twice, half of them both at the same time
    duplicates: Count = 0
    #: over how many past days the bookings are made; 0 is the last two hours
    days: Count = 0
    #: True: passes have tickets, for subscriptions that include them, and for reports
    tickets: bool = False
    #: guests whose name, phone or birthday changes
    guest_changes: Count = 0
    #: guests whose consents change: each is given, taken away, or was given or refused first
    consent_changes: Count = 0
    #: guests who are deleted in the end, no one twice
    deletions: Count = 0
    #: bookings, neither drafts nor cancelled, whose tickets are all redeemed
    redemptions: Count = 0
    #: adults who sign a waiver, half of them guests who are known
    waivers: Count = 0
    #: of the waivers: how many minors they are signed for in all
    minors: Count = 0
    #: whose guests and bookings these are: the play's, or all that the venue has
    among: Literal["play", "venue"] = "play"
    #: of all messages: never sent
    lost: Share = 0.0
    #: of the others: sent once more, right after the first answer
    twice: Share = 0.0
    #: of the others: not sent before everything else was, and in any order
    late: Share = 0.0
    #: when this share of the messages is sent, the venue's subscriptions are switched off
    switch_off: Share | None = None
    shape: Literal["nested", "flat", "guest", "mixed"] = "nested"
    words: bool | Literal["mixed"] = False
    #: decides everything but the time; None takes the next unused one
    seed: int | None = None
    #: client_id; None for the first venue
    venue: str | None = None
    #: bookings whose messages are under way at the same time
    concurrency: Positive = 8
    #: where to and with which key, instead of the venue's subscriptions
    url: str | None = None
    key: str | None = None
