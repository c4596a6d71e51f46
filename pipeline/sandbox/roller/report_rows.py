"""Rows of the reports: other names than the REST interface's, and every id as text.

The modified date of a booking's item is the booking's, which REST does not show at all.
"""

from datetime import UTC, datetime
from typing import Self
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from pipeline.sandbox.answers import Document
from pipeline.sandbox.roller.data import Booking, Venue
from pipeline.sandbox.roller.messages import wire_time
from pipeline.sandbox.roller.shelf import Held
from pipeline.sandbox.settings import RollerSettings

#: `channel` of a booking to `bookingLocation`; what has the same name in both is not here.
_LOCATIONS = {
    "POS": "Doorlist",
    "Online": "Consumer",
    "SSK": "SelfServe",
    "Marketplaces": "ChannelPartners",
}


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """How times are written: in UTC, unless the request asks for the venue's offset."""

    zone: ZoneInfo | None
    digits: int

    @classmethod
    def asked(cls, request: web.Request, venue: Venue, settings: RollerSettings) -> Self:
        """As the request's header says."""
        local = request.headers.get("TimeZone-Designators", "").lower() == "offset"
        zone = ZoneInfo(venue.settings.iana_time_zone) if local else None
        return cls(zone=zone, digits=settings.report_digits)

    def text(self, at: float) -> str:
        """Seconds since 1970 as text."""
        found = datetime.fromtimestamp(at, UTC)
        if self.zone is None:
            return wire_time(found, self.digits)
        return found.astimezone(self.zone).isoformat(timespec="seconds")

    def again(self, text: object) -> str | None:
        """A time of a REST document, written as the others; None for what is none."""
        try:
            found = datetime.fromisoformat(str(text))
        except ValueError:
            return None
        return self.text(found.replace(tzinfo=found.tzinfo or UTC).timestamp())


def booking_item_row(times: Times, _: Venue, key: str, held: Held[Booking], row: int) -> Document:
    """One row per item; what is the booking's stands in each of them, its total too."""
    booking, item = held.value.document, held.value.items()[row]
    channel = str(booking.get("channel"))
    return {
        "bookingReference": _id(booking.get("bookingReference")),
        "bookingUniqueId": key,
        "bookingName": booking.get("name"),
        "bookingItemId": _id(item.get("bookingItemId")),
        "bookingCustomerId": _id(booking.get("customerId")),
        "bookingCompanyId": _id(booking.get("companyId")),
        "bookingStatus": booking.get("status"),
        "bookingLocation": _LOCATIONS.get(channel, channel),
        "bookingDate": item.get("bookingDate"),
        "bookingEndDate": item.get("bookingEndDate"),
        "sessionStart": item.get("sessionStartTime"),
        "sessionEnd": item.get("sessionEndTime"),
        "bookingNotes": booking.get("comments"),
        "bookingPosNotes": booking.get("posNotes"),
        "productId": _id(item.get("productId")),
        "quantity": item.get("quantity"),
        "groupSize": item.get("groupSize"),
        "createdDate": times.again(item.get("createdDate")),
        "bookingCreatedDate": times.again(booking.get("createdDate")),
        "bookingModifiedDate": times.text(held.modified),
        "bookingCreatedByStaffId": None,
        "meta": _meta(booking),
        "bookingDiscountIds": [],
        "bookingDiscountCodes": [],
        "discountAmount": item.get("discount"),
        "bookingFeeAmount": booking.get("fees"),
        "cost": item.get("cost"),
        "bookingTotal": booking.get("total"),
        "modifiers": item.get("modifiers", []),
        "deviceId": _id(booking.get("deviceId")),
    }


def customer_row(times: Times, _: Venue, key: int, held: Held[Document], __: int) -> Document:
    """All of a guest.

    A deleted one is in no window any more; whether the vendor tells of deletions is not known.
    """
    guest = held.value
    address = guest.get("address")
    place = address if isinstance(address, dict) else {}
    found: Document = {
        "customerId": str(key),
        "firstName": guest.get("firstName"),
        "lastName": guest.get("lastName"),
        "email": guest.get("email"),
        "contactNumber": guest.get("phone"),
        "dateOfBirth": guest.get("dateOfBirth"),
        "gender": guest.get("gender"),
        "postcode": place.get("postcode"),
        "country": place.get("country"),
        "createdDate": times.text(held.created),
        "modifiedDate": times.text(held.modified),
        "taxIdentificationNumber": guest.get("taxIdentificationNumber"),
        "address": address,
        "flags": _flags(guest.get("flags")),
    }
    return found | _consents(guest)


def ticket_row(times: Times, venue: Venue, _: str, held: Held[Booking], row: int) -> Document:
    """One row per ticket, by the booking's modified date."""
    item, ticket = held.value.tickets()[row]
    kind, sub_kind = venue.catalogue.mapping(item)
    return {
        "bookingReference": _id(held.value.document.get("bookingReference")),
        "bookingItemId": _id(item.get("bookingItemId")),
        "ticketId": _id(ticket.get("ticketId")),
        "customTicketId": _id(ticket.get("customTicketId")),
        "name": ticket.get("ticketHolderName"),
        "customerId": _id(ticket.get("customerId")),
        "productId": _id(item.get("productId")),
        "createdDate": times.again(item.get("createdDate")),
        "bookingDate": item.get("bookingDate"),
        "expiryDate": item.get("bookingEndDate"),
        "productType": kind,
        "productSubType": sub_kind,
        "discountIds": [],
    }


def waiver_row(times: Times, _: Venue, key: int, held: Held[Document], __: int) -> Document:
    """A signed waiver, whose guest is called a customer here."""
    waiver = held.value
    found: Document = {
        **waiver,
        "signedWaiverId": str(key),
        "waiverId": _id(waiver.get("waiverId")),
        "customerId": _id(waiver.get("guestId")),
        "createdDate": times.again(waiver.get("createdDate")),
        "expiryDate": times.again(waiver.get("expiryDate")),
        "modifiedDate": times.text(held.modified),
    }
    if "parentSignedWaiverId" in waiver:
        found["parentSignedWaiverId"] = _id(waiver["parentSignedWaiverId"])
    return {name: value for name, value in found.items() if name != "guestId"}


def _id(value: object) -> str | None:
    return None if value is None else str(value)


def _consents(guest: Document) -> Document:
    """Those that were ever given or refused, in the documented spelling."""
    found = {"acceptMarketing": guest["acceptMarketing"]} if "acceptMarketing" in guest else {}
    for spelt in ("acceptMarketingSMS", "acceptMarketingSms"):
        if spelt in guest:
            found["acceptMarketingSms"] = guest[spelt]
    return found


def _flags(flags: object) -> list[Document]:
    """Their types are in lower case here."""
    found = flags if isinstance(flags, list) else []
    return [{**flag, "type": str(flag.get("type")).lower()} for flag in found]


def _meta(booking: Document) -> list[Document]:
    if "externalId" not in booking:
        return []
    return [{"attribute": "ExternalId", "value": booking["externalId"]}]
