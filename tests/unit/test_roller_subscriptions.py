"""What a list of webhooks at ROLLER means for us."""

from typing import Any

import msgspec
import pytest

from pipeline.settings import Keys, Secret, Url
from pipeline.sources.roller import RollerSettings
from pipeline.sources.roller.subscriptions import judge_subscriptions
from pipeline.subscription import Look, Mend, Whose

_HERE = "https://hooks.example.com/webhooks/leeds"
_SETTINGS = RollerSettings(
    type="roller",
    client_id="id",
    client_secret=Secret("secret"),
    webhook_key=Keys([Secret("new"), Secret("old")]),
)
_AT_HOME = msgspec.structs.replace(_SETTINGS, public_url=Url("https://hooks.example.com"))
_BOOKING = {
    "events": ["Created", "Updated", "Cancelled"],
    "include": {"tickets": True, "payments": True},
}
_TYPES: dict[str, Any] = {
    "booking": _BOOKING,
    "customer": {"events": ["Created", "Updated"]},
    "redemption": {"events": ["Created"]},
    "signedWaiver": {"events": ["Created"]},
}


def _webhook(number: int | None = 7, **changes: Any) -> dict[str, Any]:
    configuration = {
        "url": _HERE,
        "enabled": True,
        "authentication": {"apiKey": "new", "isBasicAuthentication": False},
        "webhooks": _TYPES,
    }
    return {"webhookId": number, "createdDate": "…", "configuration": configuration | changes}


def _booking(**changes: Any) -> dict[str, Any]:
    return {"webhooks": _TYPES | {"booking": _BOOKING | changes}}


def _look(
    *webhooks: Any, settings: RollerSettings = _SETTINGS, url: str | None = None, status: int = 200
) -> Look:
    return judge_subscriptions(status, msgspec.json.encode(webhooks), "leeds", settings, url)


def _judged(*webhooks: Any, settings: RollerSettings = _SETTINGS) -> list[tuple[str, str]]:
    look = _look(*webhooks, settings=settings)
    return [(str(one.verdict), one.note) for one in (look.finding, *look.warnings)]


def test_one_that_is_as_it_should_be_needs_nothing() -> None:
    """Neither a change nor a word."""
    look = _look(_webhook())
    assert (look.state, look.note, look.mend) == ("registered", None, None)
    assert _judged(_webhook()) == [
        ("ok", "webhook 7 to hooks.example.com sends all that is needed here")
    ]


def test_the_list_may_be_one_object() -> None:
    """So says the documentation; on the wire it is an array."""
    body = msgspec.json.encode(_webhook())
    assert judge_subscriptions(200, body, "leeds", _SETTINGS).state == "registered"


def test_one_object_that_is_not_ours_does_not_prove_that_ours_is_missing() -> None:
    """Another would be made each hour, if ROLLER only ever names the first."""
    body = msgspec.json.encode(_webhook(url="https://other.example.com/x"))
    look = judge_subscriptions(200, body, "leeds", _AT_HOME)
    assert look.state == "unknown"
    assert look.mend == Mend(webhook=None, url=_HERE), "whoever asks for one still gets it"


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"[]"), (200, b"{}"), (200, b" "), (200, b"null"), (204, b""), (404, b'{"errors":[]}')],
)
def test_whatever_stands_for_none_is_none(status: int, body: bytes) -> None:
    """Which it is, nobody has seen."""
    look = judge_subscriptions(status, body, "leeds", _AT_HOME)
    assert (look.state, look.mend) == ("missing", Mend(webhook=None, url=_HERE))
    assert "`pipeline webhooks register` makes one" in (look.note or "")


def test_where_no_address_is_configured_a_missing_one_cannot_be_made() -> None:
    """Nobody knows where to."""
    look = _look()
    assert (look.state, look.mend) == ("missing", None)
    assert "set sources.leeds.public_url" in (look.note or "")


@pytest.mark.parametrize(
    "body",
    [b"x", b"[3]", b'[{"configuration": 1}]', b"\xff", b'{"items": []}', b'[{"webhookId":1}]'],
)
def test_a_list_that_cannot_be_read_says_nothing(body: bytes) -> None:
    """Least of all that ours is missing."""
    look = judge_subscriptions(200, body, "leeds", _AT_HOME)
    assert (look.state, look.mend, look.finding.verdict) == ("unknown", None, "warning")
    assert "list of webhooks" in (look.note or "")


@pytest.mark.parametrize(("key", "mended"), [("new", False), ("old", True), (None, False)])
def test_either_key_will_do_while_rotating_and_the_first_is_what_it_should_be(
    key: str | None, mended: bool
) -> None:
    """Both are accepted by the listener; ROLLER might hide what it has."""
    look = _look(_webhook(authentication={"apiKey": key}), settings=_AT_HOME)
    assert (look.state, look.mend) == (
        "registered",
        Mend(webhook=7, url=_HERE) if mended else None,
    )


_DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "key": ({"authentication": {"apiKey": "x"}}, "a key that is not sources.leeds.webhook_key"),
    "slash": ({"url": f"{_HERE}/"}, "each is answered 503"),
    "events": (_booking(events=["Created"]), "leaves out booking Updated, Cancelled"),
    "no tickets": (
        _booking(include={"tickets": False, "payments": True}),
        "leaves out the tickets of bookings",
    ),
    "no include": (_booking(include=None), "the tickets of bookings; the payments of bookings"),
    "filter": (
        _booking(filter={"channels": ["Api"]}),
        "leaves out what its filter of booking leaves out",
    ),
    "bookings only": (
        {"webhooks": {"booking": _BOOKING}},
        "leaves out customer Created, Updated; redemption Created; signedWaiver Created",
    ),
    "nothing": ({"webhooks": None}, "leaves out booking Created, Updated, Cancelled; customer"),
}


@pytest.mark.parametrize("name", _DIFFERENT)
def test_what_does_not_come_or_is_refused_here_is_told(name: str) -> None:
    """It is on, and still something is lost."""
    changes, said = _DIFFERENT[name]
    look = _look(_webhook(**changes), settings=_AT_HOME)
    assert (look.state, look.mend) == ("differs", Mend(webhook=7, url=_HERE))
    assert said in look.finding.note
    assert look.finding.verdict == ("failed" if name in {"key", "slash"} else "warning")


def test_what_it_sends_beyond_that_and_how_it_is_written_is_no_matter() -> None:
    """ROLLER may write names in another case, and what is not filtered as empty."""
    more = {
        "Booking": _BOOKING | {"filter": {"channels": [], "productCategory": ""}},
        "customer": {"events": ["created", "updated"]},
        "paymentLink": {"events": ["Created"]},
    }
    webhooks = {name: one for name, one in _TYPES.items() if name != "booking"} | more
    assert _look(_webhook(webhooks=webhooks, enabled="true")).state == "registered"


def test_one_of_ours_that_is_switched_off_fails() -> None:
    """ROLLER does that after seven failures, and tells nobody who looks here."""
    look = _look(_webhook(enabled=False), settings=_AT_HOME)
    assert (look.state, look.finding.verdict) == ("disabled", "failed")
    assert "is disabled" in look.finding.note
    assert look.mend == Mend(webhook=7, url=_HERE)


@pytest.mark.parametrize(("key", "mended"), [("old", True), ("x", False), (None, False)])
def test_without_an_address_of_our_own_only_our_key_lets_us_change_one(
    key: str | None, mended: bool
) -> None:
    """The path alone may be another installation's."""
    look = _look(_webhook(enabled=False, authentication={"apiKey": key}))
    assert look.state == "disabled"
    assert look.mend == (Mend(webhook=7, url=_HERE) if mended else None)


@pytest.mark.parametrize(
    ("url", "configured", "whose"),
    [
        (_HERE, True, Whose.OURS),
        ("https://HOOKS.example.com:443/webhooks/leeds", True, Whose.OURS),
        ("https://old.example.com/webhooks/leeds", True, Whose.STRAY),
        ("https://hooks.example.com/webhooks/york", True, Whose.STRAY),
        ("https://hooks.example.com/roller", True, Whose.OTHER),
        ("https://crm.example.com/webhooks/roller", True, Whose.OTHER),
        ("https://old.example.com/webhooks/leeds", False, Whose.OURS),
        ("https://crm.example.com/webhooks/roller", False, Whose.OTHER),
        ("", False, Whose.OTHER),
    ],
)
def test_a_webhook_is_ours_by_its_address(url: str, configured: bool, whose: Whose) -> None:
    """The path tells where no public address is configured; else the whole of it does."""
    settings = _AT_HOME if configured else _SETTINGS
    look = _look(_webhook(url=url, authentication={"apiKey": "x"}), settings=settings)
    assert [one.whose for one in look.subscriptions] == [whose]


@pytest.mark.parametrize(
    ("url", "configured", "whose"),
    [
        ("https://proxy.example.com/in/7", False, Whose.OURS),
        ("https://proxy.example.com/in/7", True, Whose.STRAY),
        ("https://proxy.example.com/webhooks/york", False, Whose.STRAY),
    ],
)
def test_our_key_shows_what_came_from_us(url: str, configured: bool, whose: Whose) -> None:
    """A proxy may give the path another name; another source's path is another source's."""
    look = _look(_webhook(url=url), settings=_AT_HOME if configured else _SETTINGS)
    assert [one.whose for one in look.subscriptions] == [whose]


def test_an_address_that_is_given_takes_the_place_of_the_configured_one() -> None:
    """Nothing is ours but what sends there."""
    new = "https://new.example.com/webhooks/leeds"
    look = _look(_webhook(), settings=_AT_HOME, url=new)
    assert (look.state, look.mend) == ("missing", Mend(webhook=None, url=new))
    assert [one.whose for one in look.subscriptions] == [Whose.STRAY]


def test_of_several_of_ours_the_best_is_kept_and_the_others_warned_of() -> None:
    """Each booking comes as often as there are."""
    off, wrong, old, good = (
        _webhook(1, enabled=False),
        _webhook(2, authentication={"apiKey": "x"}),
        _webhook(3, authentication={"apiKey": "old"}),
        _webhook(4),
    )
    one_too_many = "one of ours too many"
    assert [note for _, note in _judged(off, wrong, old, good)] == [
        "webhook 4 to hooks.example.com sends all that is needed here",
        f"webhook 3 to hooks.example.com is {one_too_many}, so each booking arrives more than once",
        f"webhook 2 to hooks.example.com is {one_too_many}, and its key is refused here",
        f"webhook 1 to hooks.example.com is {one_too_many}, and switched off",
    ]
    assert _look(off, wrong, settings=_AT_HOME).state == "differs", "it is on, at least"


def test_what_others_have_switched_off_or_do_not_hear_of_bookings_is_no_matter() -> None:
    """It doubles nothing."""
    theirs: dict[str, Any] = {
        "url": "https://other.example.com/x", "authentication": {"apiKey": "theirs"},
    }  # fmt: skip
    customers = {"customer": {"events": ["Updated"]}}
    others = [_webhook(**theirs, enabled=False), _webhook(**theirs, webhooks=customers)]
    assert [verdict for verdict, _ in _judged(_webhook(), *others)] == ["ok"]
    assert [verdict for verdict, _ in _judged(_webhook(), _webhook(**theirs))] == ["ok", "warning"]


def test_one_at_an_earlier_address_of_ours_is_warned_of() -> None:
    """ROLLER goes on sending there though the API key that made it is gone."""
    stray = _webhook(8, url="https://old.example.com/webhooks/leeds")
    [_, (verdict, note)] = _judged(_webhook(), stray, settings=_AT_HOME)
    assert (verdict, "looks like this pipeline's" in note) == ("warning", True)


@pytest.mark.parametrize(
    "url", ["", "https://[x/webhooks/leeds", "https://u:s3cret@/", "leeds", "https://a:b/s3cret"]
)
def test_an_odd_address_is_not_ours_and_not_shown(url: str) -> None:
    """It may hold a secret, and must not break the check."""
    look = _look(_webhook(url=url, authentication=None))
    [found] = look.warnings
    assert "is not ours" in found.note
    assert "s3cret" not in repr(look)


def test_only_what_is_ours_is_shown_whole() -> None:
    """Others put secrets into their paths; and nothing shows a key."""
    url = "https://u:s3cret@other.example.com/s3cret?key=s3cret"
    other = _webhook(url=url, authentication={"apiKey": "s3cret"})
    look = _look(_webhook(), other)
    assert [one.url for one in look.subscriptions] == [_HERE, "other.example.com"]
    assert "s3cret" not in repr(look)
    assert "'new'" not in repr(look)
