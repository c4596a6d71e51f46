"""The simulated Stampede, as far as access and people are concerned."""

from typing import Any

import pytest

from pipeline.sandbox.settings import StampedeSettings, StampedeVenue
from pipeline.sandbox.stampede import stampede_app
from tests.sandbox.conftest import Start
from tests.sandbox.support import Api, Clock, guest, stampede_token

CREDENTIALS = {
    "client_id": "ai.stampede.marketplace.sandbox",
    "client_secret": "sandbox-stampede-secret",
    "grant_type": "client_credentials",
}


async def test_a_token_is_what_the_vendor_documents(stampede: Api) -> None:
    """The client relies on `expires_in`, and on nothing that is not there."""
    answer = await stampede.post("/oauth/token", CREDENTIALS)
    assert answer.status == 200
    assert answer.json == {
        "access_token": answer.json["access_token"],
        "expires_in": 86400,
        "token_type": "Bearer",
        "scope": "ALL:ALL",
    }


@pytest.mark.parametrize("wrong", ["client_id", "client_secret", "grant_type"])
async def test_wrong_credentials_are_a_400_in_the_shape_of_oauth(stampede: Api, wrong: str) -> None:
    """Not a 401, and not the shape of the other errors."""
    answer = await stampede.post("/oauth/token", CREDENTIALS | {wrong: "wrong"})
    assert answer.status == 400
    assert set(answer.json) == {"error", "error_description"}


async def test_a_form_gets_no_token(stampede: Api) -> None:
    """Stock OAuth clients send forms; the vendor takes JSON."""
    assert (await stampede.post_form("/oauth/token", CREDENTIALS)).status == 400


async def test_the_token_endpoint_has_its_own_limit(start: Start) -> None:
    """Twenty a minute: a client that asks for each call is stopped long before the allowance."""
    clock = Clock()
    api = await start(stampede_app(clock=clock))
    statuses = [(await api.post("/oauth/token", CREDENTIALS)).status for _ in range(21)]
    assert statuses == [200] * 20 + [429]
    clock.now += 60
    assert (await api.post("/oauth/token", CREDENTIALS)).status == 200


async def test_no_access_without_a_valid_token(start: Start) -> None:
    """Unknown, revoked and expired tokens get the same 401."""
    clock = Clock()
    api = await start(stampede_app(StampedeSettings(token_lifetime=60), clock))
    assert (await api.get("/v1/venues")).status == 401
    await stampede_token(api)
    assert (await api.get("/v1/venues")).status == 200
    clock.now += 60
    assert (await api.get("/v1/venues")).status == 401
    await stampede_token(api)
    await api.call("DELETE", "/_sandbox/tokens")
    answer = await api.get("/v1/venues")
    assert answer.status == 401
    assert set(answer.json) == {"stack", "code", "message", "url", "method"}


async def test_the_hundred_and_first_request_in_fifteen_minutes_is_refused(start: Start) -> None:
    """The allowance covers every request, tokens too, in any 900 seconds."""
    clock = Clock()
    api = await start(stampede_app(clock=clock))
    await stampede_token(api)
    for _ in range(99):
        assert (await api.get("/v1/venues")).status == 200
    clock.now += 899.5
    refused = await api.get("/v1/venues")
    assert (refused.status, refused.json["code"]) == (429, 429)
    assert refused.headers["Retry-After"] == "1"
    clock.now += 0.5
    assert (await api.get("/v1/venues")).status == 200
    allowance = (await api.state())["allowance"]
    assert (allowance["peak"], allowance["refused"], allowance["used"]) == (100, 1, 1)


async def test_retry_after_can_be_left_out(start: Start) -> None:
    """The vendor does not promise the header."""
    api = await start(stampede_app(StampedeSettings(requests=0, retry_after=False)))
    answer = await api.get("/v1/venues")
    assert (answer.status, "Retry-After" in answer.headers) == (429, False)


async def test_an_unknown_address_is_worded_as_the_vendor_does(stampede: Api) -> None:
    """Wrong paths and wrong methods never bring aiohttp's own pages."""
    for method, path, status in [("GET", "/v1/none", 404), ("PATCH", "/v1/venues", 405)]:
        answer = await stampede.call(method, path)
        assert (answer.status, answer.json["code"]) == (status, status)


async def test_venues_come_at_once_or_in_pages(start: Start) -> None:
    """`links.next` is a cursor, not an address."""
    venues = tuple(StampedeVenue(id=f"VENUE{n:07}", name=f"Venue {n}") for n in range(5))
    api = await start(stampede_app(StampedeSettings(venues=venues)))
    await stampede_token(api)
    all_at_once = (await api.get("/v1/venues")).json
    assert [venue["id"] for venue in all_at_once["data"]] == [venue.id for venue in venues]
    assert all_at_once["links"]["next"] is None
    page = (await api.get("/v1/venues?limit=2")).json
    paged = page["data"]
    while page["links"]["next"]:
        page = (await api.get(f"/v1/venues?limit=2&cursor={page['links']['next']}")).json
        paged += page["data"]
    assert paged == all_at_once["data"]
    assert page["links"] == {
        "first": "VENUE0000000",
        "prev": "VENUE0000002",
        "next": None,
        "last": "VENUE0000004",
    }


async def test_a_guest_is_recognised_by_e_mail_whatever_its_case(stampede: Api) -> None:
    """Create and update are one call; who sends it twice makes one guest."""
    made = await stampede.post("/v1/guests", guest("Ada@Example.com", phone="+447400123456"))
    again = await stampede.post("/v1/guests/", guest("ada@example.COM", last="Strand"))
    assert (made.status, again.status) == (201, 200)
    assert made.json["id"] == again.json["id"]
    assert again.json["user_profile"] == {
        "first": "Ada",
        "last": "Strand",
        "email": "ada@example.com",
        "id": again.json["profile_id"],
    }
    shown = (await stampede.get(f"/v1/guests/{made.json['id']}")).json
    assert shown["user_profile"]["phone"] == "+447400123456"


async def test_consent_is_overwritten_both_ways_and_every_word_is_remembered(
    start: Start,
) -> None:
    """What a careless re-POST does to an opt-out must be visible to a test."""
    clock = Clock()
    stampede = await start(stampede_app(clock=clock))
    await stampede_token(stampede)
    yes = {"data": True, "marketing": {"email": True, "sms": True}}
    no = {"data": True, "marketing": {"email": False, "sms": False}}
    first = (await stampede.post("/v1/guests", guest(privacy=yes))).json
    assert None not in (first["data_opt_in_at"], first["email_opt_in_at"], first["sms_opt_in_at"])
    clock.now += 1
    out = (await stampede.post("/v1/guests", guest(privacy=no))).json
    assert (out["email_opt_in_at"], out["sms_opt_in_at"]) == (None, None)
    assert out["data_opt_in_at"] == first["data_opt_in_at"]
    assert (await stampede.post("/v1/guests", guest(privacy=yes))).json["email_opt_in_at"]
    history = (await stampede.state())["guests"][0]["consent_history"]
    assert [(told["by"], told["email"]) for told in history] == [
        ("api", True),
        ("api", False),
        ("api", True),
    ]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"email": "not an e-mail"}, "email must be an email"),
        ({"email": None}, "email must not be null"),
        ({"privacy": {"marketing": {"email": True, "sms": True}}}, "privacy.data is required"),
        ({"privacy": {"data": True}}, "privacy.marketing.sms is required"),
        ({"privacy": {"data": True, "marketing": {"email": True, "sms": "yes"}}}, "sms must be"),
        ({"privacy": {"data": 1, "marketing": {"email": True, "sms": True}}}, "data must be"),
        ({"gender": "Female"}, "gender must be one of"),
        ({"phone": "07400 123456"}, "phone must be"),
        ({"phone": ""}, "phone must be"),
        ({"first": 7}, "first must be a string"),
        ({"last": None}, "last must not be null"),
    ],
)
async def test_an_invalid_guest_is_refused_with_a_list_of_messages(
    stampede: Api, changes: dict[str, object], complaint: str
) -> None:
    """What the vendor would refuse must not look fine in the sandbox."""
    answer = await stampede.post("/v1/guests", guest() | changes)
    assert answer.status == 400
    assert set(answer.json) == {"stack", "code", "message", "url", "method"}
    assert any(complaint in message for message in answer.json["message"])
    assert (await stampede.state())["guests"] == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
async def test_a_body_that_is_no_object_is_refused(stampede: Api, body: bytes) -> None:
    """Refused, not crashed on."""
    answer = await stampede.send("POST", "/v1/guests", body)
    assert (answer.status, answer.json["code"]) == (400, 400)


async def test_a_search_finds_more_than_the_exact_e_mail(stampede: Api) -> None:
    """Who looks a guest up has to compare: nobody promised that search is exact."""
    for email in ("ada@example.com", "ada@example.com.example.org", "nevada@example.com"):
        await stampede.post("/v1/guests", guest(email))
    found = (await stampede.get("/v1/guests?search=ADA@example.com")).json["data"]
    assert len(found) == 3
    assert found[0]["user_profile"]["email"] == "ada@example.com"
    assert found[0]["sms_opt_in_at"] is None
    assert (await stampede.get("/v1/guests?search=nobody")).json["data"] == []


async def test_guests_come_in_pages_of_25(start: Start) -> None:
    """A client that reads only the first page misses people."""
    api = await start(stampede_app(StampedeSettings(requests=1000)))
    await stampede_token(api)
    for number in range(30):
        await api.post("/v1/guests", guest(f"guest{number}@example.com"))
    first = (await api.get("/v1/guests")).json
    second = (await api.get(f"/v1/guests?cursor={first['links']['next']}")).json
    emails = [row["user_profile"]["email"] for row in first["data"] + second["data"]]
    assert len(first["data"]) == 25
    assert emails == [f"guest{number}@example.com" for number in range(30)]
    assert second["links"]["next"] is None
    assert (await api.get("/v1/guests?cursor=unknown")).status == 400
    assert (await api.get("/v1/guests?limit=-1")).status == 400


async def test_an_unknown_guest_is_not_found(stampede: Api) -> None:
    """In all calls that name a guest."""
    calls: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("GET", "/tags", None),
        ("PUT", "/tags", {"name": "online"}),
        ("DELETE", "/tags/by-name", {"tag_name": "online"}),
        ("POST", "/booking", {}),
    ]
    for method, path, body in calls:
        answer = await stampede.call(method, f"/v1/guests/unknown{path}", body)
        assert (answer.status, answer.json["message"]) == (404, "Not Found")


async def test_a_tag_is_set_and_removed_as_often_as_one_likes(stampede: Api) -> None:
    """One tag per call, each call idempotent."""
    path = f"/v1/guests/{(await stampede.post('/v1/guests', guest())).json['id']}/tags"
    for name in ("online", "paid", "online"):
        assert (await stampede.call("PUT", path, {"name": name})).status == 200
    tags = (await stampede.get(path)).json["data"]
    assert [tag["name"] for tag in tags] == ["online", "paid"]
    removals = [
        await stampede.call("DELETE", path + "/by-name", {"tag_name": "paid"}) for _ in range(2)
    ]
    assert [removal.json["message"] for removal in removals] == [
        "Tag removed from customer profile",
        "Tag not found on customer profile",
    ]
    assert (await stampede.state())["guests"][0]["tags"] == ["online"]


@pytest.mark.parametrize("body", [{}, {"tag_name": ""}, {"tag_name": "x" * 256}, {"tag_name": 1}])
async def test_a_tag_name_has_1_to_255_characters(stampede: Api, body: dict[str, object]) -> None:
    """ROLLER's names are free text; they have to be cut before they are sent."""
    path = f"/v1/guests/{(await stampede.post('/v1/guests', guest())).json['id']}/tags"
    assert (await stampede.call("DELETE", path + "/by-name", body)).status == 400
    named = {"name": body["tag_name"]} if body else {}
    assert (await stampede.call("PUT", path, named)).status == 400


async def test_a_guest_changes_consent_at_stampede_itself(stampede: Api) -> None:
    """Such changes reach nobody but whoever asks."""
    made = (await stampede.post("/v1/guests", guest())).json
    change = {"email": "ada@example.com", "email_opt_in": False}
    assert (await stampede.post("/_sandbox/guests", change)).status == 200
    shown = (await stampede.get(f"/v1/guests/{made['id']}")).json
    assert shown["email_opt_in_at"] is None
    assert shown["data_opt_in_at"] == made["data_opt_in_at"]
    history = (await stampede.state())["guests"][0]["consent_history"]
    assert [told["by"] for told in history] == ["api", "guest"]
    assert (await stampede.post("/_sandbox/guests", {"emial": "x"})).status == 400


async def test_a_guest_may_leave(stampede: Api) -> None:
    """Who comes back is somebody new, with another id."""
    made = (await stampede.post("/v1/guests", guest())).json
    await stampede.post("/_sandbox/guests", {"email": "ada@example.com", "delete": True})
    assert (await stampede.get(f"/v1/guests/{made['id']}")).status == 404
    again = await stampede.post("/v1/guests", guest())
    assert (again.status, again.json["id"] != made["id"]) == (201, True)


async def test_a_permission_can_be_taken_from_the_key_and_given_back(stampede: Api) -> None:
    """The vendor names no scopes; a key that lacks one is refused in its most common shape."""
    await stampede.post("/_sandbox/permissions", {"missing": ["GET /v1/venues"]})
    answer = await stampede.get("/v1/venues")
    assert (answer.status, answer.json["code"]) == (403, 403)
    assert (await stampede.get("/v1/guests")).status == 200
    await stampede.post("/_sandbox/permissions", {})
    assert (await stampede.get("/v1/venues")).status == 200


async def test_venues_come_in_pages_where_the_settings_say_so(start: Start) -> None:
    """The vendor says that all come at once; a client has to follow the links all the same."""
    venues = tuple(StampedeVenue(id=f"VENUE{n:07}", name=f"Venue {n}") for n in range(3))
    api = await start(stampede_app(StampedeSettings(venues=venues, venues_page=2)))
    await stampede_token(api)
    first = (await api.get("/v1/venues")).json
    assert len(first["data"]) == 2
    last = (await api.get(f"/v1/venues?cursor={first['links']['next']}")).json
    assert [venue["id"] for venue in last["data"]] == ["VENUE0000002"]
    assert last["links"]["next"] is None
