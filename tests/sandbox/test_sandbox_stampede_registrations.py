"""The endpoint of Stampede's own ROLLER integration, at the simulated Stampede."""

import msgspec
import pytest

from pipeline.sandbox.settings import StampedeSettings
from pipeline.sandbox.stampede import stampede_app
from tests.sandbox.conftest import Start
from tests.sandbox.support import Api, guest, stampede_token

_PATH = "/registration"


def _registration(**changes: object) -> dict[str, object]:
    return {
        "source": "booking",
        "first": "Ada",
        "last": "Example",
        "email": "ada@example.com",
        "phone": "+447400123456",
        "dataOptIn": True,
        "smsOptIn": False,
        "emailOptIn": True,
        "penny_value": 35064,
        "createdAt": "2026-11-20T08:00:00.163Z",
        "serials": ["A1B2C3D4E5F6"],
        "tags": ["Online", "Paid"],
        "currency": "GBP",
    } | changes


async def test_every_call_counts_a_visit(stampede: Api) -> None:
    """That is why nobody may repeat one: it is no upsert."""
    for _ in range(2):
        assert (await stampede.post(_PATH, _registration())).status == 200
    state = await stampede.state()
    [held] = state["guests"]
    assert (held["visits"], held["tags"]) == (2, ["Online", "Paid"])
    assert [held[f"{c}_opt_in"] for c in ("data", "email", "sms")] == [True, True, False]
    assert len(state["registrations"]) == 2
    assert state["registrations"][0].items() >= _registration().items()
    assert state["bookings"] == []


async def test_a_registered_guest_is_the_guest_of_the_api(stampede: Api) -> None:
    """Both are found by their e-mail, and what is absent stays as it was."""
    made = (await stampede.post("/v1/guests", guest(phone="+447400123457"))).json["id"]
    body = _registration(email="ADA@example.com", smsOptIn=True)
    del body["phone"]
    assert (await stampede.post(_PATH, body)).status == 200
    [held] = (await stampede.state())["guests"]
    assert (held["id"], held["last"], held["phone"]) == (made, "Example", "+447400123457")
    assert [told["by"] for told in held["consent_history"]] == ["api", "registration"]


async def test_consent_is_overwritten_both_ways_and_absent_is_no(stampede: Api) -> None:
    """Whether an opt-out sticks at the real one is not known, so here it does not."""
    no = _registration(dataOptIn=False, emailOptIn=False)
    for body in (_registration(), no, _registration(), {**no}):
        body.pop("smsOptIn")
        await stampede.post(_PATH, body)
    [held] = (await stampede.state())["guests"]
    assert [told["email"] for told in held["consent_history"]] == [True, False, True, False]
    assert not any(told["sms"] for told in held["consent_history"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "web"),
        ("source", None),
        ("email", "ada"),
        ("email", None),
        ("first", 1),
        ("phone", "07400 123456"),
        ("dataOptIn", "true"),
        ("smsOptIn", None),
        ("penny_value", 350.64),
        ("penny_value", "35064"),
        ("penny_value", -1),
        ("createdAt", "2026-11-20"),
        ("serials", "A1B2C3D4E5F6"),
        ("serials", []),
        ("serials", ["A1B2"]),
        ("serials", ["ZZZZZZZZZZZZ"]),
        ("serials", [1]),
        ("tags", "Online"),
        ("tags", [""]),
        ("tags", [None]),
        ("currency", "gbp"),
        ("amount", 35064),
        ("event_id", "b-1"),
    ],
)
async def test_an_invalid_or_unknown_field_is_refused(
    stampede: Api, field: str, value: object
) -> None:
    """What the vendor would refuse, or never look at, must not look fine in the sandbox."""
    answer = await stampede.post(_PATH, _registration(**{field: value}))
    assert answer.status == 400
    assert any(field in message for message in answer.json["message"])
    state = await stampede.state()
    assert (state["guests"], state["registrations"]) == ([], [])


@pytest.mark.parametrize("required", ["source", "email", "serials"])
async def test_a_required_field_is_required(stampede: Api, required: str) -> None:
    """Who it is, where, and what kind of visit."""
    body = _registration()
    del body[required]
    answer = await stampede.post(_PATH, body)
    assert (answer.status, answer.json["message"]) == (400, [f"{required} is required"])


async def test_the_rest_may_be_absent(stampede: Api) -> None:
    """ROLLER omits what is not set."""
    least = {"source": "booking", "email": "ada@example.com", "serials": ["A1B2C3D4E5F6"]}
    assert (await stampede.post(_PATH, least)).status == 200
    assert (await stampede.post(_PATH, least | {"tags": []})).status == 200


async def test_it_needs_a_token_and_counts_against_the_allowance(stampede: Api) -> None:
    """Like every other call of the key."""
    stampede.token = "wrong"
    assert (await stampede.post(_PATH, _registration())).status == 401
    assert (await stampede.state())["allowance"]["used"] == 2


async def test_its_path_is_a_setting(start: Start) -> None:
    """The real one is not published, so whoever has it can try with it."""
    settings = msgspec.structs.replace(StampedeSettings(), registration_path="/v2/register")
    api = await start(stampede_app(settings))
    await stampede_token(api)
    assert (await api.post("/v2/register", _registration())).status == 200
    assert (await api.post(_PATH, _registration())).status == 404
    await api.call("POST", "/_sandbox/reset")
    assert (await api.state())["registrations"] == []
