"""Guests and their tags at the simulated Stampede."""

from aiohttp import web

from pipeline.sandbox.answers import Document, Refused, read_document, reply
from pipeline.sandbox.stampede.checks import Check
from pipeline.sandbox.stampede.data import CHANNELS, Guest, iso
from pipeline.sandbox.stampede.paging import page
from pipeline.sandbox.stampede.peer import STAMPEDE

_PAGE_SIZE = 25
_PROFILE = ("first", "last", "gender", "phone")
EMAIL = r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+"
E164 = r"\+[1-9]\d{6,14}"


def guest_of(request: web.Request) -> Guest:
    """The guest that the path names; raises `Refused` with 404."""
    guest = request.app[STAMPEDE].guests.by_id.get(request.match_info["guest_id"])
    if guest is None:
        raise Refused(404, "Not Found")
    return guest


async def search_guests(request: web.Request) -> web.Response:
    """`GET /v1/guests?search=&limit=&cursor=`."""
    found = request.app[STAMPEDE].guests.matching(request.query.get("search", ""))
    organisation = request.app[STAMPEDE].settings.organization_id
    return reply(page(request, found, lambda guest: _listed(guest, organisation), _PAGE_SIZE))


async def show_guest(request: web.Request) -> web.Response:
    """`GET /v1/guests/:guest_id`."""
    guest = guest_of(request)
    profile: Document = {
        "email": guest.email,
        "id": guest.profile_id,
        "verified": 0,
        **{name: guest.profile.get(name) for name in _PROFILE},
        **dict.fromkeys(("lat", "lng", "birth_day", "birth_month", "postcode", "country")),
    }
    document = _head(guest, request.app[STAMPEDE].settings.organization_id)
    document["user_profile"] = profile
    document["organization_registration_personalisation_choice"] = []
    document["custom_question_answers"] = []
    return reply(document)


async def upsert_guest(request: web.Request) -> web.Response:
    """`POST /v1/guests`: the e-mail decides which guest; consent is overwritten both ways."""
    body = await read_document(request)
    email, told = _checked(body)
    stampede = request.app[STAMPEDE]
    guest, made = stampede.guests.upsert(email)
    guest.profile.update({name: str(body[name]) for name in _PROFILE if name in body})
    guest.consent(told, "api", iso(stampede.clock()))
    document = _head(guest, stampede.settings.organization_id)
    document["user_profile"] = {
        "first": guest.profile.get("first"),
        "last": guest.profile.get("last"),
        "email": guest.email,
        "id": guest.profile_id,
    }
    return reply(document, 201 if made else 200)


async def list_tags(request: web.Request) -> web.Response:
    """`GET /v1/guests/:guest_id/tags`; the vendor does not publish the shape of its answer."""
    tags = guest_of(request).tags.items()
    return reply({"data": [{"id": tag_id, "name": name} for name, tag_id in tags]})


async def add_tag(request: web.Request) -> web.Response:
    """`PUT /v1/guests/:guest_id/tags`: one tag, new or there already."""
    guest = guest_of(request)
    check = Check(await read_document(request))
    name = check.text("name", required=True, form=".{1,255}", word="at most 255 characters")
    check.finish()
    return reply({"id": guest.tag(name), "name": name})


async def remove_tag(request: web.Request) -> web.Response:
    """`DELETE /v1/guests/:guest_id/tags/by-name`: done already is done, too."""
    guest = guest_of(request)
    check = Check(await read_document(request))
    name = check.text("tag_name", required=True, form=".{1,255}", word="at most 255 characters")
    check.finish()
    removed = guest.tags.pop(name, None) is not None
    return reply(
        {"message": f"Tag {'removed from' if removed else 'not found on'} customer profile"}
    )


def _checked(body: Document) -> tuple[str, dict[str, bool]]:
    """The e-mail and the three consents of a valid body."""
    check = Check(body)
    email = check.text("email", required=True, form=EMAIL, word="an email")
    told = {
        "data": check.boolean("privacy.data"),
        "email": check.boolean("privacy.marketing.email"),
        "sms": check.boolean("privacy.marketing.sms"),
    }
    check.text("first")
    check.text("last")
    check.choice("gender", ("m", "f", "o"))
    check.text("phone", form=E164, word="a phone number in E.164 format")
    check.finish()
    return email, told


def _head(guest: Guest, organisation: str) -> Document:
    return {
        "id": guest.id,
        "organization_id": organisation,
        "profile_id": guest.profile_id,
        "last_interacted_at": guest.last_interacted_at,
        "created_at": guest.created_at,
        **{f"{channel}_opt_in_at": guest.opt_in_at[channel] for channel in CHANNELS},
    }


def _listed(guest: Guest, organisation: str) -> Document:
    document = _head(guest, organisation)
    document["user_profile"] = {
        "email": guest.email,
        "first": guest.profile.get("first"),
        "id": guest.profile_id,
        "phone": guest.profile.get("phone"),
        "last": guest.profile.get("last"),
    }
    document["organization_profile_tags"] = [
        {"id": tag_id, "organization_registration_id": guest.id, "tag_id": tag_id}
        for tag_id in guest.tags.values()
    ]
    return document
