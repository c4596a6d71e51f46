"""What Stampede's own ROLLER integration calls, at the simulated Stampede."""

from aiohttp import web

from pipeline.sandbox.answers import Document, read_document, reply
from pipeline.sandbox.settings import StampedeSettings
from pipeline.sandbox.stampede.bookings import CURRENCY, SERIAL
from pipeline.sandbox.stampede.checks import Check
from pipeline.sandbox.stampede.data import iso, new_id
from pipeline.sandbox.stampede.guests import E164, EMAIL
from pipeline.sandbox.stampede.peer import STAMPEDE

#: The whole field table of the vendor's help page on its integration.
_FIELDS = (
    *("source", "first", "last", "email", "phone", "dataOptIn", "smsOptIn", "emailOptIn"),
    *("penny_value", "createdAt", "serials", "tags", "currency"),
)
#: In an older Stampede another one was an error, and without one it took "web".
_SOURCES = ("booking", "in-venue-booking")


async def register_guest(request: web.Request) -> web.Response:
    """`POST` to `registration_path`: each call counts a visit, a repeated one too.

    What is absent of the profile stays as it was. Consent is overwritten both ways, an absent one
    by no: an older Stampede kept an opt-out, which nobody should rely on. The vendor publishes
    neither the status nor the body of its answer.
    """
    stampede = request.app[STAMPEDE]
    body = await read_document(request)
    email, told, tags = _checked(body, stampede.settings)
    guest, _ = stampede.guests.upsert(email)
    at = iso(stampede.clock())
    guest.profile.update({n: str(body[n]) for n in ("first", "last", "phone") if n in body})
    guest.consent(told, "registration", at)
    for tag in tags:
        guest.tag(tag)
    guest.visits += 1
    stampede.registrations.append({**body, "at": at})
    return reply({"id": new_id("registration", len(stampede.registrations))})


def _checked(body: Document, settings: StampedeSettings) -> tuple[str, dict[str, bool], list[str]]:
    """The e-mail, the three consents and the tags of a valid body."""
    check = Check(body)
    check.only(_FIELDS)
    check.choice("source", _SOURCES, required=True)
    email = check.text("email", required=True, form=EMAIL, word="an email")
    check.text("first")
    check.text("last")
    check.text("phone", form=E164, word="a phone number in E.164 format")
    told = {c: check.boolean(f"{c}OptIn", required=False) for c in ("data", "sms", "email")}
    check.number("penny_value", least=0)
    check.time("createdAt")
    serials = check.texts("serials", required=True, form=SERIAL, word="12 letters and digits")
    if not set(serials) <= {venue.id for venue in settings.venues}:
        check.messages.append("serials do not all exist in this organisation")
    tags = check.texts("tags")
    check.text("currency", form=CURRENCY, word="a valid ISO 4217 currency code")
    check.finish()
    return email, told, tags
