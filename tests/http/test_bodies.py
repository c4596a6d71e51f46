"""An authentic body is kept byte for byte, whatever it is, and answered 200."""

import asyncio
import gzip
import hashlib
import time
import zlib
from pathlib import Path

import pytest

from tests.http.support import KEY, MAX_BODY, Here, chunks, listening, message, webhook
from tests.waiting import LONG, until

_DEEP = b"[" * 8000 + b"]" * 8000
_LONG = b"9" * 5000

#: Body, and the key it gets; None for its digest.
READABLE = {
    "plain": (message(), "m-1"),
    "spaces-around": (b" \n" + message() + b"\r\n", "m-1"),
    "integer-id": (b'{"id":7,"type":1}', "7"),
    "no-id": (b'{"type":1}', None),
    "null-id": (b'{"id":null,"type":1}', None),
    "empty-id": (b'{"id":"","type":1}', None),
    "odd-id": ('{"id":"😀\'; --","type":1}'.encode(), "😀'; --"),
    "unknown-type": (b'{"id":"m","type":99}', "m"),
    "vast-type": (b'{"id":"m","type":%s}' % _LONG[:90], "m"),
    "type-in-words": (b'{"id":"m","type":"SignedWaiver"}', "m"),
    "list-for-data": (b'{"id":"m","type":5,"data":[1]}', "m"),
    "same-key-twice": (b'{"id":"a","id":"b","type":1,"type":3}', "b"),
    "not-utf8-where-nobody-looks": (b'{"id":"m","type":1,"name":"\xff"}', "m"),
    "infinite-total": (b'{"id":"m","type":1,"data":{"booking":{"total":1e999}}}', "m"),
    "earliest-date": (b'{"id":"m","type":1,"eventDate":"0001-01-01T00:00:00Z"}', "m"),
}


@pytest.mark.parametrize(
    ("body", "key"), [pytest.param(*case, id=name) for name, case in READABLE.items()]
)
async def test_a_readable_body_waits_under_its_id(here: Here, body: bytes, key: str | None) -> None:
    """The id is what a repetition is recognised by; without one the bytes themselves are."""
    assert (await here.send(webhook(body))).statuses == [200]

    [row] = here.rows()
    assert (row.state, row.reason, row.body) == ("waiting", None, body)
    assert row.key == (key or hashlib.sha256(body).hexdigest())


UNREADABLE = {
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "number": b"1",
    "html": b"<html>",
    "cut": message()[:-3],
    "something-after": message() + b"x",
    "nul-after": message() + b"\x00",
    "byte-order-mark": b"\xef\xbb\xbf" + message(),
    "utf-16": message().decode().encode("utf-16"),
    "not-utf8": b'{"id":"\xff","type":1}',
    "deep": b'{"id":"m","type":1,"data":' + _DEEP + b"}",
    "deep-where-nobody-looks": b'{"id":"m","type":1,"x":' + _DEEP + b"}",
    "not-a-number": b'{"id":"m","type":1,"data":{"booking":{"total":NaN}}}',
    "no-type": b'{"id":"m"}',
    "null-type": b'{"id":"m","type":null}',
    "endless-type": b'{"id":"m","type":%s}' % _LONG,
    "id-of-fraction": b'{"id":1.5,"type":1}',
    "id-of-true": b'{"id":true,"type":1}',
    "id-of-object": b'{"id":{},"type":1}',
    "id-endless": b'{"id":%s,"type":1}' % _LONG,
    "id-too-long": b'{"id":"%s","type":1}' % (b"z" * 129),
    "id-with-nul": b'{"id":"a\\u0000","type":1}',
    "id-half-a-character": b'{"id":"\\ud800","type":1}',
    "booking-is-a-list": b'{"id":"m","type":1,"data":{"booking":[]}}',
    "data-is-text": b'{"id":"m","type":1,"data":"x"}',
    "date-is-nonsense": b'{"id":"m","type":1,"eventDate":"yesterday"}',
}


@pytest.mark.parametrize("body", [pytest.param(raw, id=name) for name, raw in UNREADABLE.items()])
async def test_an_unreadable_body_is_parked_with_a_reason(here: Here, body: bytes) -> None:
    """Refused, it would come seven times and then switch the subscription off."""
    assert (await here.send(webhook(body))).statuses == [200]

    [row] = here.rows()
    assert (row.state, row.body) == ("parked", body)
    assert row.key == hashlib.sha256(body).hexdigest()
    assert row.reason is not None
    assert row.reason.startswith("unreadable: ")


async def test_the_largest_body_is_kept_whole(here: Here) -> None:
    """The limit is what may be kept, so that much is no fault."""
    body = message() + b" " * (MAX_BODY - len(message()))

    await here.send(webhook(body))

    assert [(row.state, row.body) for row in here.rows()] == [("waiting", body)]


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with-length", "chunked"])
async def test_a_body_over_the_limit_is_parked_and_its_booking_fetched(
    here: Here, is_chunked: bool
) -> None:
    """A party of hundreds must not be lost for its size; ROLLER can be asked for it."""
    body = message() + b" " * 300_000
    sent = (
        webhook(b"", b"Transfer-Encoding: chunked", length=False) + chunks(body)
        if is_chunked
        else webhook(body)
    )

    assert (await here.send(sent)).statuses == [200]

    parked, asked = here.rows()
    assert (parked.state, parked.reason, parked.body) == ("parked", "too_large", body[:MAX_BODY])
    assert (asked.state, asked.kind, asked.booking) == ("waiting", "booking", "b-1")
    assert (asked.origin, asked.body) == ("reconcile", b"")


async def test_what_is_over_the_limit_is_not_waited_for(here: Here) -> None:
    """What will not be kept must not fill the memory until its end."""
    announced = webhook(message(), b"Content-Length: 100000000", length=False)

    assert await here.webhooks.first(announced, b" " * (MAX_BODY + 1)) == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"x" * (MAX_BODY + 1), id="no-booking"),
        pytest.param(b" " * (MAX_BODY - 20) + b'"uniqueId":"b-1234567890"', id="cut-within-the-id"),
        pytest.param(b'{"uniqueId":"not an id"}' + b" " * MAX_BODY, id="not-an-id"),
    ],
)
async def test_without_a_whole_id_nothing_is_fetched(here: Here, body: bytes) -> None:
    """Half an id could be another booking's."""
    assert (await here.send(webhook(body))).statuses == [200]

    assert [row.reason for row in here.rows()] == ["too_large"]


async def test_a_repetition_is_counted_and_answered_200(here: Here) -> None:
    """ROLLER repeats what it did not hear our answer to."""
    for _ in range(3):
        assert (await here.send(webhook())).statuses == [200]

    assert [(row.key, row.duplicates) for row in here.rows()] == [("m-1", 2)]
    events = (await here.status()).events
    assert (events["accepted"], events["duplicates"]) == (1, 2)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        pytest.param(b"gzip", gzip.compress, id="gzip"),
        pytest.param(b"X-GZIP", gzip.compress, id="x-gzip"),
        pytest.param(b"deflate", zlib.compress, id="deflate"),
    ],
)
async def test_a_packed_body_is_kept_unpacked(here: Here, encoding: bytes, pack: object) -> None:
    """A proxy on the way may pack what ROLLER sent plain."""
    assert callable(pack)
    sent = webhook(pack(message()), b"Content-Encoding: " + encoding)

    assert (await here.send(sent)).statuses == [200]

    assert [(row.key, row.body) for row in here.rows()] == [("m-1", message())]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(message(), id="not-packed-at-all"),
        pytest.param(gzip.compress(message())[:-10], id="cut"),
        pytest.param(gzip.compress(message()) + b"more", id="something-after"),
    ],
)
async def test_a_body_that_cannot_be_unpacked_is_kept_as_it_came(here: Here, body: bytes) -> None:
    """It is authentic, and a person may still make sense of it."""
    assert (await here.send(webhook(body, b"Content-Encoding: gzip"))).statuses == [200]

    assert [row.body for row in here.rows()] == [body]


async def test_a_packed_body_over_the_limit_is_too_large(here: Here) -> None:
    """The limit is for what is kept, not for what was sent."""
    packed = gzip.compress(message() + b" " * 300_000)

    assert (await here.send(webhook(packed, b"Content-Encoding: gzip"))).statuses == [200]

    assert [row.reason for row in here.rows()] == ["too_large", None]


@pytest.mark.parametrize(
    ("key", "target", "status"),
    [
        pytest.param(KEY.encode(), b"/webhooks/leeds", 200, id="authentic"),
        pytest.param(b"wrong", b"/webhooks/leeds", 503, id="wrong-key"),
        pytest.param(b"wrong", b"/webhooks/york", 503, id="unknown-source"),
    ],
)
async def test_four_gigabytes_of_packed_zeros_cost_nothing(
    here: Here, key: bytes, target: bytes, status: int
) -> None:
    """Unpacked by the library, this stopped the event loop for seconds, and needed no key."""
    sent = webhook(_bomb(gibibytes=4), b"Content-Encoding: gzip", key=key, target=target)
    begun = time.process_time()

    answers = await here.send(sent)

    assert answers.statuses == [status]
    assert time.process_time() - begun < 0.5


def _bomb(*, gibibytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    mebibyte = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + mebibyte * (gibibytes << 10) + packer.flush()


@pytest.mark.parametrize("trickles", [False, True], ids=["nothing-comes", "trickles"])
async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path, trickles: bool) -> None:
    """The library by itself would hold the connection for as long as the sender likes."""
    async with listening(tmp_path, body_timeout=0.1) as here:
        reader, writer = await here.webhooks.connect()
        writer.write(webhook(message()[:20], b"Content-Length: 9999", length=False))
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_trickle(writer) if trickles else _nothing())
            async with asyncio.timeout(LONG):
                answer = await reader.readline()
            sending.cancel()
        writer.close()

        assert answer.startswith(b"HTTP/1.1 503 ")
        assert here.rows() == []


async def _trickle(writer: asyncio.StreamWriter) -> None:
    def send_one_more() -> bool:
        writer.write(b" ")
        return False

    await until(send_one_more)


async def _nothing() -> None:
    return
