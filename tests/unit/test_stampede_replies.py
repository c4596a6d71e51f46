"""Stampede's errors come in several shapes, and each says whether to try again."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.destinations.stampede.replies import fail, guest_id, is_json, message
from pipeline.errors import Failure, Reject, Retry, Throttled
from pipeline.plugin import Call, Reply

_CALL = Call(
    method="PUT",
    url="https://stampede.example/v1/guests/g-1/tags",
    body=b'{"name":"Online"}',
    private=("anna@example.com", "Anna", "Li", "+447400123456", "t0k3n"),
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"stack":"at x.js:1","code":400,"message":"Not Found"}', "Not Found"),
        (b'{"code":400,"message":["a must be b","c must be d"]}', "a must be b; c must be d"),
        (
            b'{"message":"Invalid","errors":[{"code":"invalid_type","path":["venue_id",0]}]}',
            "Invalid; venue_id.0: invalid_type",
        ),
        (
            b'{"message":"Invalid","errors":{"name":["is too long","is odd"]}}',
            "Invalid; name: is too long; name: is odd",
        ),
        (
            b'{"error":"invalid_client","error_description":"Unknown client"}',
            "invalid_client; Unknown client",
        ),
        (b'{"message":["twice","twice"]}', "twice"),
        (b'{"message":[1,null,["deep"]]}', "deep"),
        (b'{"message":null}', ""),
        (b'{"message":5}', ""),
        (b"[]", ""),
        (b"", ""),
        (b"<html>502</html>", ""),
        (b'{"message":"\xff"}', ""),
        (b'{"errors":' + b"[" * 100_000, ""),
        (b'{"errors":' + b"[" * 900 + b"]" * 900 + b"}", ""),
    ],
    ids=lambda one: one[:40].decode(errors="replace") if isinstance(one, bytes) else None,
)
def test_every_shape_of_error_is_understood(body: bytes, said: str) -> None:
    """The person who looks at a parked delivery needs the vendor's own words."""
    assert message(body, _CALL) == said


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("anna@example.com is taken", "… is taken"),
        ("ANNA@EXAMPLE.COM is taken", "… is taken"),
        ("other@example.org is taken", "… is taken"),
        ("phone +447400123456 is not E.164", "phone … is not E.164"),
        ("phone 07400 123456 is not E.164", "phone … is not E.164"),
        ("first anna, last Li", "first …, last …"),
        ("Line 5 is odd", "Line 5 is odd"),
        ("Bearer t0k3n has expired", "Bearer … has expired"),
    ],
)
def test_an_error_that_quotes_the_guest_is_cleaned(said: str, shown: str) -> None:
    """Reasons are shown in lists, logs and alerts, where no person may be."""
    assert message(msgspec.json.encode({"message": said}), _CALL) == shown


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, Retry) for status in (408, 425, 500, 501, 502, 503, 504, 599)),
        *((status, Reject) for status in (301, 302, 307, 400, 403, 404, 409, 413, 422, 451)),
        (429, Throttled),
        (200, Retry),
        (204, Retry),
    ],
)
def test_the_status_decides_what_is_to_be_done(status: int, kind: type[Failure]) -> None:
    """What can succeed later is tried again; the rest would fail for ever, and parks."""
    found = fail(Reply(status=status, body=b'{"message":"why"}', retry_after=7.0), _CALL)
    assert type(found) is kind
    assert str(status) in found.reason


def test_the_reason_holds_the_vendors_words() -> None:
    """Otherwise every rejection reads the same."""
    found = fail(Reply(status=422, body=b'{"message":"party_size is missing"}'), _CALL)
    assert found.reason == "Stampede answered 422: party_size is missing"


@pytest.mark.parametrize("status", [408, 429, 503])
def test_retry_after_is_kept(status: int) -> None:
    """The vendor knows when it wants to be asked again."""
    found = fail(Reply(status=status, body=b"", retry_after=120.0), _CALL)
    assert isinstance(found, Retry)
    assert found.after == 120.0


def test_a_success_that_lacks_what_it_promises_is_none() -> None:
    """A proxy's page with a 200 must not count as delivered."""
    found = fail(Reply(status=200, body=b"<html>"), _CALL, promised="the guest's id")
    assert isinstance(found, Retry)
    assert found.reason == "Stampede answered 200 without the guest's id"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"id":"0b9f-7A_c","user_profile":{"id":7}}', "0b9f-7A_c"),
        (b'{"id":""}', None),
        (b'{"id":"../venues"}', None),
        (b'{"id":"a/b"}', None),
        (b'{"id":"a?b"}', None),
        (b'{"id":"a b"}', None),
        (b'{"id":null}', None),
        (b'{"data":{"id":"x"}}', None),
        (b"[]", None),
        (b"null", None),
        (b"", None),
        (b"\xff", None),
        (b'{"x":' + b"[" * 100_000, None),
    ],
    ids=lambda one: one[:30].decode(errors="replace") if isinstance(one, bytes) else None,
)
def test_a_guests_id_is_safe_to_put_into_a_path(body: bytes, found: str | None) -> None:
    """It addresses the booking, so nothing that leads elsewhere is taken for one."""
    assert guest_id(body) == found


@pytest.mark.parametrize(
    ("body", "good"),
    [(b"{}", True), (b"", True), (b"[1]", True), (b"<html>", False), (b'"\xff"', False)],
)
def test_json_is_told_from_a_proxys_page(body: bytes, good: bool) -> None:
    """For most calls the vendor promises no more than that."""
    assert is_json(body) is good


@given(st.binary())
def test_no_answer_breaks_the_reading(body: bytes) -> None:
    """An exception here would look like a bug of ours, and be tried for four days."""
    guest_id(body)
    is_json(body)
    assert isinstance(fail(Reply(status=400, body=body), _CALL), Reject)
