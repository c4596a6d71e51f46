"""What is known of ROLLER's messages: the fields that it documents, and those that were seen.

Sources are its models (https://github.com/rollersoftware/public-api-documentation, August 2026)
and what live venues send. `must` is for what has been in every message and what we rely on; what
is optional is left out by ROLLER when there is nothing to say.
"""

from collections.abc import Mapping

from msgspec import Struct, structs

#: JSON's name of a value's type as msgspec reads it.
JSON_TYPES: Mapping[type, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
}


class Field(Struct, frozen=True, kw_only=True):
    """What the value of a field may be; null says what a missing field says."""

    types: tuple[type, ...]
    required: bool = False
    #: What is in it, in each if it is an array; None where that is not looked at.
    holds: "Shape | None" = None


class Shape(Struct, frozen=True, kw_only=True):
    """The fields of an object."""

    fields: Mapping[str, Field]
    #: Those that have to be there.
    required: frozenset[str]
    #: Not all fields are known, so that another one is nothing new.
    is_open: bool = False


TEXT = Field(types=(str,))
WHOLE = Field(types=(int,))
NUMBER = Field(types=(int, float))
FLAG = Field(types=(bool,))
ID = Field(types=(int, str))
#: What is in these is not looked at: it may be long, or the keys be anybody's words.
LIST = Field(types=(list,))
OBJECT = Field(types=(dict,))


def must(field: Field) -> Field:
    """Have a field in every message."""
    return structs.replace(field, required=True)


def shape(fields: Mapping[str, Field], *, is_open: bool = False) -> Shape:
    """Make the shape of an object with these fields."""
    required = frozenset(name for name, field in fields.items() if field.required)
    return Shape(fields=fields, required=required, is_open=is_open)


def many(shape: Shape) -> Field:
    """An array of these, or one of them where the documentation draws one."""
    return Field(types=(list, dict), holds=shape)


def one(shape: Shape) -> Field:
    """An object."""
    return Field(types=(dict,), holds=shape)


FLAGGED = shape({"type": TEXT, "comment": TEXT, "expiryDate": TEXT})
ADDRESS = shape(dict.fromkeys(("street", "suburb", "city", "state", "postcode", "country"), TEXT))
_PERSON = {
    "firstName": TEXT,
    "lastName": TEXT,
    "email": TEXT,
    "phone": TEXT,
    "dateOfBirth": TEXT,
    "gender": TEXT,
    "acceptMarketing": FLAG,
    # Documented for guests, and seen with the last letters in capitals.
    "acceptMarketingSms": FLAG,
    "acceptMarketingSMS": FLAG,
    "taxIdentificationNumber": TEXT,
    "address": one(ADDRESS),
    "flags": many(FLAGGED),
}
GUEST = shape({**_PERSON, "acceptMarketing": must(FLAG)})
CUSTOMER = shape({**_PERSON, "customerId": must(WHOLE)})

TICKET = shape(
    {
        "ticketId": ID,
        "customTicketId": ID,
        "externalTicketId": ID,
        "ticketHolderName": TEXT,
        "name": TEXT,
        "membershipStatus": TEXT,
        "membershipPauseDate": TEXT,
        "membershipResumeDate": TEXT,
        "membershipCancellationDate": TEXT,
        "photoUrl": TEXT,
        "locations": LIST,
        "customerId": WHOLE,
        "signedWaiverId": ID,
    }
)
ITEM = shape(
    {
        "bookingItemId": WHOLE,
        "productId": must(WHOLE),
        "quantity": must(WHOLE),
        "bookingDate": must(TEXT),
        "bookingEndDate": TEXT,
        "groupSize": WHOLE,
        "startTime": TEXT,
        "endTime": TEXT,
        "sessionStartTime": TEXT,
        "sessionEndTime": TEXT,
        "createdDate": TEXT,
        "cost": NUMBER,
        "discount": NUMBER,
        "modifiers": many(
            shape({"modifierId": ID, "amount": NUMBER, "quantity": NUMBER}),
        ),
        "tickets": many(TICKET),
    }
)
PAYMENT = shape(
    {
        "bookingPaymentId": WHOLE,
        "transactionId": TEXT,
        "paymentMethod": TEXT,
        "total": NUMBER,
        "tip": NUMBER,
        "createdDate": TEXT,
    }
)
BOOKING = shape(
    {
        "bookingReference": must(TEXT),
        "externalId": TEXT,
        "uniqueId": must(TEXT),
        "createdDate": must(TEXT),
        "channel": must(TEXT),
        "source": must(TEXT),
        "status": must(TEXT),
        "name": TEXT,
        "customerId": WHOLE,
        "companyId": WHOLE,
        "comments": TEXT,
        "total": must(NUMBER),
        "remainder": NUMBER,
        "amountOwing": NUMBER,
        "fees": NUMBER,
        "discount": NUMBER,
        "items": must(many(ITEM)),
        "deviceId": ID,
        "posNotes": TEXT,
        "customerFlags": LIST,
        # Its keys are whatever somebody has typed.
        "metadata": OBJECT,
        "payments": many(PAYMENT),
    }
)
REDEMPTION = shape(
    {
        "redemptionDate": must(TEXT),
        "ticketHolderName": TEXT,
        "ticketId": must(ID),
        "customTicketId": ID,
        "photoUrl": TEXT,
        "quantityRedeemed": WHOLE,
        "isUsed": FLAG,
        "deviceId": ID,
        "customerId": WHOLE,
        "customerFlags": LIST,
        "membershipStatus": TEXT,
        "locations": LIST,
        "multiPass": OBJECT,
    }
)
WAIVER = shape(
    {
        "signedWaiverId": must(ID),
        "parentSignedWaiverId": ID,
        "waiverId": ID,
        "firstName": TEXT,
        "lastName": TEXT,
        "guestId": WHOLE,
        "dateOfBirth": TEXT,
        "email": TEXT,
        "contactNumber": TEXT,
        "isForMinor": must(FLAG),
        "expiryDate": TEXT,
        "isValid": FLAG,
        "createdDate": TEXT,
    }
)
VENUE = shape(
    {
        "id": must(WHOLE),
        "name": must(TEXT),
        "timeZone": TEXT,
        "ianaTimeZone": must(TEXT),
        "countryCode": must(TEXT),
        "country": TEXT,
        "currency": must(TEXT),
        "locale": TEXT,
        "productPricesIncludeTax": FLAG,
        "transactionFeePercent": NUMBER,
        "creditCardFeePercent": NUMBER,
        "feePerTransaction": NUMBER,
        "codeOfConduct": Field(types=tuple(JSON_TYPES)),
        "paymentSettings": Field(types=tuple(JSON_TYPES)),
        "taxes": LIST,
        "taxComponents": LIST,
        "venueGroups": LIST,
    }
)
VARIATION = shape({"id": must(TEXT), "name": must(TEXT), "price": NUMBER}, is_open=True)
PRODUCT = shape(
    {
        "parentProductId": must(TEXT),
        "parentProductName": must(TEXT),
        "type": must(TEXT),
        "stockProductType": TEXT,
        "products": must(many(VARIATION)),
    },
    is_open=True,
)
ENVELOPE = shape(
    {
        "id": must(TEXT),
        "sendDate": must(TEXT),
        # Documented as words, seen as numbers.
        "type": must(ID),
        "eventType": must(ID),
        "eventDate": must(TEXT),
        "data": must(Field(types=(dict, list))),
    }
)


class Matter(Struct, frozen=True, kw_only=True):
    """What `data` of a message holds: by itself, or under one of these names."""

    name: str
    shape: Shape
    wrappers: tuple[str, ...]


_BOOKING = Matter(name="booking", shape=BOOKING, wrappers=("booking",))
_REDEMPTION = Matter(name="redemption", shape=REDEMPTION, wrappers=("redemptions", "redemption"))
_CUSTOMER = Matter(name="customer", shape=CUSTOMER, wrappers=("customer", "guest"))
_WAIVER = Matter(name="waiver", shape=WAIVER, wrappers=("signedWaivers", "signedWaiver", "waivers"))

#: By the envelope's `type`, as a word or a number; others we do not use.
MATTERS: Mapping[str, Matter] = {
    "1": _BOOKING,
    "booking": _BOOKING,
    "3": _REDEMPTION,
    "redemption": _REDEMPTION,
    "4": _CUSTOMER,
    "customer": _CUSTOMER,
    "7": _WAIVER,
    "signedwaiver": _WAIVER,
}
