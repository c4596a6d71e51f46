"""What a list of webhooks at ROLLER means for us."""

from typing import Any

import msgspec
import pytest

from pipeline.settings import Keys, Secret, Url
from pipeline.sources.roller import RollerSettings
from pipeline.sources.roller.subscriptions import judge_subscriptions

_SETTINGS = RollerSettings(
    type="roller",
    client_id="id",
    client_secret=Secret("secret"),
    webhook_key=Keys([Secret("old"), Secret("new")]),
)


def _webhook(**changes: Any) -> dict[str, Any]:
    configuration = {
        "url": "https://hooks.example.com/webhooks/leeds",
        "enabled": True,
        "authentication": {"apiKey": "new", "isBasicAuthentication": False},
        "webhooks": {"booking": {"events": ["Created", "Updated", "Cancelled"]}},
    }
    return {"webhookId": 7, "createdDate": "…", "configuration": configuration | changes}


def _judged(*webhooks: Any, settings: RollerSettings = _SETTINGS) -> list[tuple[str, str]]:
    body = msgspec.json.encode(webhooks)
    return [(str(one.verdict), one.note) for one in judge_subscriptions(body, "leeds", settings)]


def test_the_list_may_be_one_object() -> None:
    """So says the documentation; on the wire it is an array."""
    found = judge_subscriptions(msgspec.json.encode(_webhook()), "leeds", _SETTINGS)
    assert [str(one.verdict) for one in found] == ["ok"]
    assert [str(one.verdict) for one in judge_subscriptions(b"{}", "leeds", _SETTINGS)] == [
        "warning"
    ]


@pytest.mark.parametrize("key", ["old", "new"])
def test_either_key_will_do_while_rotating(key: str) -> None:
    """Both are accepted by the listener."""
    assert _judged(_webhook(authentication={"apiKey": key}))[0][0] == "ok"


def test_one_of_ours_that_is_switched_off_fails() -> None:
    """ROLLER does that after seven failures, and tells nobody who looks here."""
    [(verdict, note)] = _judged(_webhook(enabled=False))
    assert verdict == "failed"
    assert "is disabled" in note


def test_what_others_have_switched_off_or_do_not_hear_of_bookings_is_no_matter() -> None:
    """It doubles nothing."""
    theirs = "https://other.example.com/x"
    customers = {"customer": {"events": ["Updated"]}}
    others = [_webhook(url=theirs, enabled=False), _webhook(url=theirs, webhooks=customers)]
    assert [verdict for verdict, _ in _judged(_webhook(), *others)] == ["ok"]


def test_with_a_public_address_only_that_is_ours() -> None:
    """Another installation may listen at a path of the same name."""
    ours = msgspec.structs.replace(_SETTINGS, public_url=Url("https://hooks.example.com"))
    theirs = msgspec.structs.replace(_SETTINGS, public_url=Url("https://else.example.com"))
    assert [verdict for verdict, _ in _judged(_webhook(), settings=ours)] == ["ok"]
    assert [verdict for verdict, _ in _judged(_webhook(), settings=theirs)] == ["warning"] * 2


@pytest.mark.parametrize("url", ["", "https://[x/webhooks/leeds", "https://u:s3cret@/", "leeds"])
def test_an_odd_address_is_not_ours_and_not_shown(url: str) -> None:
    """It may hold a secret, and must not break the check."""
    [_, (verdict, note)] = _judged(_webhook(url=url))
    assert verdict == "warning"
    assert "an address that cannot be read" in note
    assert "s3cret" not in note


@pytest.mark.parametrize("body", [b"", b"null", b"[3]", b'[{"configuration": 1}]', b"\xff"])
def test_a_list_that_cannot_be_read_is_a_warning(body: bytes) -> None:
    """No more is known then."""
    [found] = judge_subscriptions(body, "leeds", _SETTINGS)
    assert (found.verdict, "cannot be read" in found.note) == ("warning", True)
