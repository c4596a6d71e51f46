"""Tickets that are redeemed at the simulated ROLLER: people come in."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from pipeline.sandbox.answers import Document, Refused
from pipeline.sandbox.roller.data import Booking
from pipeline.sandbox.roller.messages import Event, wire_time
from pipeline.sandbox.roller.orders import Deed, Hand, Order
from pipeline.sandbox.roller.shelf import Held
from pipeline.sandbox.roller.tickets import with_tickets


class Redemption(Order, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/redemptions` takes."""

    #: `uniqueId` or reference
    booking: str
    #: how many of its tickets; None for all
    tickets: Annotated[int, msgspec.Meta(ge=1)] | None = None
    #: fields that every redemption gets, such as a `membershipStatus`; null leaves one out
    redemption: Document = msgspec.field(default_factory=dict)


def redeem(hand: Hand, order: Redemption) -> Deed:
    """Redeems tickets: no Updated of the booking, nor is it modified.

    The message names neither the booking nor its holder, only tickets. It has nobody at all when
    there is nothing but add-ons and stock, and none is sent then.
    """
    held = _found(hand, order.booking)
    booking = held.value
    document = with_tickets(booking.document, hand.venue.catalogue)
    if document != booking.document:
        booking = Booking(document=document, happened=booking.happened)
        hand.venue.keep(booking, held.modified)
    tickets = [ticket for _, ticket in booking.tickets()][: order.tickets]
    redemptions = [_redeemed(hand, order, ticket) for ticket in tickets]
    answer: Document = {"booking": booking.unique_id, "redemptions": redemptions}
    if not redemptions:
        return Deed(answer=answer)
    holders = [one["customerId"] for one in redemptions if one.get("customerId")]
    message = hand.message(
        order,
        "redemption",
        Event.Created,
        redemptions,
        booking=booking.unique_id,
        customer=holders[0] if holders and isinstance(holders[0], int) else None,
    )
    return Deed(answer=answer, messages=[message])


def _found(hand: Hand, wanted: str) -> Held[Booking]:
    booking = hand.venue.booking(wanted)
    held = hand.venue.bookings.find(booking.unique_id) if booking else None
    if held is None:
        raise Refused(400, f"booking {wanted} does not exist")
    return held


def _redeemed(hand: Hand, order: Redemption, ticket: Document) -> Document:
    """One ticket's redemption; `customerId` is whoever signed a waiver for that ticket."""
    key = str(ticket.get("ticketId"))
    hand.venue.redeemed[key] += 1
    customer = ticket.get("customerId")
    guest = hand.venue.guests.get(customer) if isinstance(customer, int) else None
    redemption: Document = {
        # Whole seconds, as in the vendor's example.
        "redemptionDate": wire_time(datetime.fromtimestamp(hand.at(order), UTC), 0),
        "ticketHolderName": ticket.get("ticketHolderName", ""),
        "ticketId": key,
        "customTicketId": ticket.get("customTicketId"),
        "photoUrl": ticket.get("photoUrl"),
        "quantityRedeemed": hand.venue.redeemed[key],
        "isUsed": True,
        "deviceId": 984,
        "customerId": customer,
        "customerFlags": guest.get("flags") if guest else [],
        "membershipStatus": ticket.get("membershipStatus"),
        "locations": ticket.get("locations", []),
    }
    return {name: v for name, v in (redemption | order.redemption).items() if v is not None}
