"""Stampede's words for a guest, a booking and a tag.

The field tables: https://developer.stampede.ai/guests/guests, /guests/booking and /guests/tags;
of a registration: https://help.stampede.ai/hc/en-gb/articles/34136208924178.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from pipeline.contact import Contact
from pipeline.destinations.stampede.settings import StampedeSettings
from pipeline.model import ARRIVED, COMPLETE, Gender, Request, ToldConsent
from pipeline.plugin import ConsentFeeds, Registrar
from pipeline.visit import Progress, Visit

_GENDERS: dict[Gender, Literal["m", "f", "o"]] = {
    Gender.MALE: "m",
    Gender.FEMALE: "f",
    Gender.OTHER: "o",
}

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Marketing(Struct, frozen=True, kw_only=True):
    email: bool
    sms: bool


class _Privacy(Struct, frozen=True, kw_only=True):
    data: bool
    marketing: _Marketing


class _Guest(Struct, frozen=True, kw_only=True):
    email: str
    first: str | UnsetType
    last: str | UnsetType
    phone: str | UnsetType
    gender: Literal["m", "f", "o"] | UnsetType
    privacy: _Privacy


class _Metadata(Struct, frozen=True, kw_only=True):
    reference: str | UnsetType
    source: str | UnsetType
    channel: str | UnsetType
    status: str | UnsetType


class _Booking(Struct, frozen=True, kw_only=True):
    event_id: str
    venue_id: str
    status: Literal["active", "arrived", "complete", "cancelled"]
    amount: int | UnsetType
    currency: str
    party_size: int
    starts_at: str
    ends_at: str
    created_at: str | UnsetType
    updated_at: str
    type: str | UnsetType
    metadata: _Metadata


class _Tag(Struct, frozen=True, kw_only=True):
    name: str


class _TagName(Struct, frozen=True, kw_only=True):
    tag_name: str


class _Registration(Struct, frozen=True, kw_only=True, rename="camel"):
    source: Literal["booking"] = "booking"
    first: str | UnsetType
    last: str | UnsetType
    email: str
    phone: str | UnsetType
    data_opt_in: bool
    sms_opt_in: bool
    email_opt_in: bool
    penny_value: int | UnsetType = field(name="penny_value")
    created_at: str | UnsetType
    serials: tuple[str, ...]
    tags: tuple[str, ...]
    currency: str


class StampedeMapper:
    """Makes Stampede's requests; pure."""

    def __init__(self, settings: StampedeSettings) -> None:
        registers = settings.mode == "registration"
        self._registration_path = settings.registration_path or ""
        self.registrar: Registrar | None = self._registration if registers else None
        self._serials = {source: str(serial) for source, serial in settings.venues.items()}
        self._feeds = ConsentFeeds(
            data=settings.consent.data, email=settings.consent.email, sms=settings.consent.sms
        )
        self.tag_roles: tuple[str, ...] = settings.tags
        # There is no call that changes a registration.
        self.visit_updates: Collection[str] = () if registers else settings.visit_updates
        self.trusting = settings.first_contact == "trust"

    def consents(self, source: str) -> ConsentFeeds:  # noqa: ARG002 - the same for all of a key
        """Tell which of ROLLER's consents feeds which of Stampede's."""
        return self._feeds

    def guest(self, contact: Contact, consent: ToldConsent) -> Request:
        """Make `POST /v1/guests`, which creates or updates by e-mail."""
        body = _Guest(
            email=contact.email,
            first=contact.first or UNSET,
            last=contact.last or UNSET,
            phone=contact.phone or UNSET,
            gender=_GENDERS[contact.gender] if contact.gender else UNSET,
            privacy=_Privacy(
                data=consent.data, marketing=_Marketing(email=consent.email, sms=consent.sms)
            ),
        )
        return Request(method="POST", path="/v1/guests", body=_encode(body))

    def opt_out(self, email: str, consent: ToldConsent) -> Request:
        """Make `POST /v1/guests` with the consent alone, which is all that it requires."""
        nobody = Contact(email=email, first=None, last=None, phone=None, gender=None)
        return self.guest(nobody, consent)

    def look_up(self, email: str, *, guest: str | None, cursor: str | None) -> Request:
        """Make `GET /v1/guests/:id`, or `GET /v1/guests?search=`."""
        if guest is not None:
            return Request(method="GET", path=f"/v1/guests/{guest}", about=email)
        query = {"search": email} | ({"cursor": cursor} if cursor else {})
        return Request(
            method="GET", path="/v1/guests", query=urlencode(query, quote_via=quote), about=email
        )

    def booking(self, visit: Visit, *, guest: str, source: str) -> Request:
        """Make `POST /v1/guests/:id/booking`, which creates or updates by `event_id`."""
        body = _Booking(
            event_id=visit.id,
            venue_id=self._serials[source],
            status=self._status(visit),
            amount=UNSET if visit.amount is None else visit.amount,
            currency=visit.currency,
            party_size=visit.party_size,
            starts_at=visit.starts_at.isoformat(),
            ends_at=visit.ends_at.isoformat(),
            created_at=_utc(visit.created_at) if visit.created_at else UNSET,
            updated_at=_utc(visit.updated_at),
            type=visit.product or UNSET,
            metadata=_Metadata(
                reference=visit.reference or UNSET,
                source=visit.origin or UNSET,
                channel=visit.channel or UNSET,
                status=visit.status or UNSET,
            ),
        )
        return Request(method="POST", path=f"/v1/guests/{guest}/booking", body=_encode(body))

    def _status(self, visit: Visit) -> Literal["active", "arrived", "complete", "cancelled"]:
        if visit.cancelled:
            return "cancelled"
        if visit.progress is Progress.COMPLETE and COMPLETE in self.visit_updates:
            return "complete"
        came = visit.progress is not Progress.AHEAD
        return "arrived" if came and ARRIVED in self.visit_updates else "active"

    def tag(self, name: str, *, guest: str) -> Request:
        """Make `PUT /v1/guests/:id/tags`, one tag a call."""
        return Request(method="PUT", path=f"/v1/guests/{guest}/tags", body=_encode(_Tag(name=name)))

    def untag(self, name: str, *, guest: str) -> Request:
        """Make `DELETE /v1/guests/:id/tags/by-name`."""
        body = _encode(_TagName(tag_name=name))
        return Request(method="DELETE", path=f"/v1/guests/{guest}/tags/by-name", body=body)

    def _registration(
        self,
        visit: Visit,
        contact: Contact,
        consent: ToldConsent,
        *,
        tags: Sequence[str],
        source: str,
    ) -> Request:
        """Make the call of Stampede's own integration, which counts a visit each time."""
        body = _Registration(
            first=contact.first or UNSET,
            last=contact.last or UNSET,
            email=contact.email,
            phone=contact.phone or UNSET,
            data_opt_in=consent.data,
            sms_opt_in=consent.sms,
            email_opt_in=consent.email,
            penny_value=UNSET if visit.amount is None else visit.amount,
            created_at=_utc(visit.created_at) if visit.created_at else UNSET,
            serials=(self._serials[source],),
            tags=tuple(tags),
            currency=visit.currency,
        )
        path = self._registration_path
        return Request(method="POST", path=path, body=_encode(body), once=True)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
