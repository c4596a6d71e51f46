"""Who may enter, what is learnt from those who may not, and what is said of them."""

import pytest

from tests.http.support import KEY, NEXT_KEY, Here, chunks, message, webhook

STRANGERS = {
    "none": None,
    "empty": b"",
    "wrong": b"wrong",
    "shorter": KEY.encode()[:-1],
    "longer": KEY.encode() + b"x",
    "upper-case": KEY.encode().upper(),
    "both": f"{KEY}, {NEXT_KEY}".encode(),
    "not-utf8": b"\xff\xfe",
    "not-ascii": "schlüssel".encode(),
    "surrogate": b"\xed\xa0\x80",
    "very-long": b"x" * 8000,
}


@pytest.mark.parametrize("key", [pytest.param(raw, id=name) for name, raw in STRANGERS.items()])
async def test_without_the_key_nothing_is_stored(here: Here, key: bytes | None) -> None:
    """Anybody can find the address; the key is all that tells ROLLER from them."""
    assert (await here.send(webhook(key=key))).statuses == [503]
    assert here.rows() == []
    assert [line["message"] for line in here.log()] == ["refused"]


async def test_the_first_of_two_keys_decides(here: Here) -> None:
    """What a proxy or a stranger puts behind must neither open nor shut the door."""
    sent = webhook(None, b"x-roller-apikey: " + KEY.encode(), key=b"wrong")

    assert (await here.send(sent)).statuses == [503]


@pytest.mark.parametrize(
    ("target", "announced"),
    [
        pytest.param(b"/webhooks/york", b"10", id="unknown-source"),
        pytest.param(b"/webhooks/leeds", b"100000", id="too-long-for-a-look"),
    ],
)
async def test_a_stranger_is_refused_before_the_body(
    here: Here, target: bytes, announced: bytes
) -> None:
    """A body costs memory and time, which a stranger may not have."""
    head = webhook(b"", b"Content-Length: " + announced, length=False, target=target, key=b"wrong")

    assert await here.webhooks.first(head) == 503


async def _state(here: Here) -> str:
    return (await here.status()).sources["leeds"].state


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with-length", "chunked"])
async def test_rollers_own_message_with_a_wrong_key_is_a_mismatch_until_a_right_one(
    here: Here, is_chunked: bool
) -> None:
    """A key changed on one side only would lose a venue's data after four days of silence."""
    sent = (
        webhook(b"", b"Transfer-Encoding: chunked", length=False, key=b"old") + chunks(message())
        if is_chunked
        else webhook(key=b"old")
    )

    assert (await here.send(sent)).statuses == [503]
    assert await _state(here) == "key_mismatch"
    assert any("webhook_key" in reason for reason in (await here.status()).reasons)
    assert (await here.status()).ready

    assert (await here.send(webhook())).statuses == [200]
    assert await _state(here) == "up"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(webhook(b"{}", key=b"wrong"), id="not-an-envelope"),
        pytest.param(webhook(b'{"type":1}', key=b"wrong"), id="no-id"),
        pytest.param(webhook(b"", key=b"wrong"), id="empty"),
        pytest.param(webhook(b"<x/>", key=b"wrong"), id="not-json"),
        pytest.param(webhook(key=b"wrong", method=b"GET"), id="not-a-post"),
        pytest.param(webhook(key=b"wrong", target=b"/webhooks/york"), id="unknown-source"),
        pytest.param(webhook(message() + b" " * 99_999, key=b"wrong"), id="too-long-for-a-look"),
    ],
)
async def test_a_scanner_is_no_mismatch(here: Here, sent: bytes) -> None:
    """Whoever knocks at every door must not raise an alarm about the key."""
    await here.send(sent)

    assert await _state(here) == "up"
    assert [line["message"] for line in here.log()] == ["refused"]


async def test_refusals_are_logged_once_a_minute_for_each_source(here: Here) -> None:
    """A stranger with a loop must not fill the disk; names that he makes up count as one."""
    for number in range(5):
        await here.send(webhook(key=b"wrong"))
        await here.send(webhook(target=b"/webhooks/made-up-%d" % number))
        await here.send(webhook(method=b"GET"))
    assert [line["source"] for line in here.log()] == ["leeds", "unknown"]

    here.clock.advance(60)
    await here.send(webhook(key=b"wrong"))
    assert [line["source"] for line in here.log()] == ["leeds", "unknown", "leeds"]
    assert {line["message"] for line in here.log()} == {"refused"}


async def test_no_key_is_logged_or_stored(here: Here) -> None:
    """A log file and a backup travel further than a secret may."""
    for key in (KEY, NEXT_KEY, "a-mistyped-secret"):
        await here.send(webhook(key=key.encode()))
    await here.send(webhook(b"not JSON"))

    files = [path for path in here.folder.iterdir() if path.name != "config.toml"]
    kept = b"".join(path.read_bytes() for path in files) + repr(here.log()).encode()
    assert b"m-1" in kept
    for secret in (KEY, NEXT_KEY, "a-mistyped-secret"):
        assert secret.encode() not in kept
