"""Whatever bytes come for /webhooks/, 200 and 503 are the only answers; and a 200 is a row."""

import asyncio
import random
import re

import pytest

from tests.http.support import KEY, Here, chunks, message, webhook
from tests.waiting import until

_CHUNKED = b"Transfer-Encoding: chunked"
_METHODS = b"GET HEAD PUT DELETE OPTIONS PATCH TRACE PRI QUERY PROPFIND post NONSENSE".split()


def _chunked(body: bytes, *extra: bytes) -> bytes:
    return webhook(b"", _CHUNKED, *extra, length=False) + body


REFUSED = {
    **{f"method-{name.decode()}": webhook(method=name) for name in _METHODS},
    "connect-to-path": webhook(method=b"CONNECT"),
    "no-source": webhook(target=b"/webhooks/"),
    "unknown-source": webhook(target=b"/webhooks/york"),
    "slash-at-end": webhook(target=b"/webhooks/leeds/"),
    "two-slashes": webhook(target=b"//webhooks/leeds"),
    "two-slashes-no-source": webhook(target=b"//webhooks/"),
    "three-slashes-absolute": webhook(target=b"http://hooks.example.com///webhooks/leeds"),
    "slash-inside": webhook(target=b"/webhooks//leeds"),
    "dots-into": webhook(target=b"/x/../webhooks/leeds"),
    "dots-out-of": webhook(target=b"/webhooks/../healthz", method=b"GET"),
    "one-dot": webhook(target=b"/./webhooks/leeds"),
    "percent-not-utf8": webhook(target=b"/webhooks/%ff"),
    "percent-nonsense": webhook(target=b"/webhooks/%zz"),
    "percent-nul": webhook(target=b"/webhooks/leeds%00"),
    "raw-bytes": webhook(target=b"/webhooks/\xff\xfe"),
    "nul": webhook(target=b"/webhooks/leeds\x00"),
    "relative": webhook(target=b"webhooks/leeds"),
    "asterisk": webhook(target=b"*"),
    "bad-port": webhook(target=b"http://h:99999/webhooks/leeds"),
    "bad-ipv6": webhook(target=b"http://[::1/webhooks/leeds"),
    "host-idna-refuses": webhook(target=b"http://xn--/webhooks/leeds"),
    "long-target": webhook(target=b"/webhooks/" + b"a" * 9000),
    "http-1.2": webhook(version=b"HTTP/1.2"),
    "http-11.1": webhook(version=b"HTTP/11.1"),
    "http-nameless": webhook(version=b"HTP/1.1"),
    "http-0.9-style": b"POST /webhooks/leeds\r\n\r\n",
    "no-host": webhook(host=()),
    "two-hosts": webhook(host=(b"Host: a", b"Host: b")),
    "expects-something": webhook(None, b"Expect: a-miracle"),
    "encoding-unknown": webhook(None, b"Content-Encoding: snappy"),
    "encoding-brotli": webhook(None, b"Content-Encoding: br"),
    "encoding-twice": webhook(None, b"Content-Encoding: gzip, gzip"),
    "encoding-not-ascii": webhook(None, b"Content-Encoding: \xff"),
    "length-and-chunked": webhook(None, _CHUNKED),
    "chunked-twice": _chunked(chunks(message()), _CHUNKED),
    "coding-unknown": webhook(None, b"Transfer-Encoding: snappy"),
    "two-lengths": webhook(None, b"Content-Length: 5"),
    "negative-length": webhook(None, b"Content-Length: -1", length=False),
    "signed-length": webhook(None, b"Content-Length: +9", length=False),
    "hex-length": webhook(None, b"Content-Length: 0x9", length=False),
    "endless-length": webhook(None, b"Content-Length: " + b"9" * 30, length=False),
    "no-length": webhook(length=False),
    "long-header": webhook(None, b"X: " + b"a" * 9000),
    "long-header-name": webhook(None, b"X" * 9000 + b": a"),
    "thousands-of-headers": webhook(None, *(b"X-%d: a" % n for n in range(3000))),
    "header-with-nul": webhook(None, b"X: a\x00b"),
    "header-with-cr": webhook(None, b"X: a\rb"),
    "header-folded": webhook(None, b"X: a", b" b"),
    "header-without-name": webhook(None, b": a"),
    "header-without-colon": webhook(None, b"X"),
    "header-name-not-ascii": webhook(None, b"\xff: a"),
    "old-websocket": webhook(None, b"Sec-WebSocket-Key1: x"),
    "line-feeds-only": webhook().replace(b"\r\n", b"\n"),
    "many-trailers": _chunked(chunks(message(), end=b"0\r\n" + b"X: y\r\n" * 500 + b"\r\n")),
    "tls-hello": b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03" + bytes(range(200)),
    "h2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nul-bytes": bytes(100),
    "proxy-protocol": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + webhook(),
}


@pytest.mark.parametrize("sent", [pytest.param(raw, id=name) for name, raw in REFUSED.items()])
async def test_what_is_no_plain_webhook_gets_503_and_leaves_no_trace(
    here: Here, sent: bytes
) -> None:
    """One 404 or 400 to ROLLER, through whatever proxy, may cost the subscription."""
    answers = await here.send(sent)

    assert answers.statuses == [503]
    assert answers.closed
    assert here.rows() == []


UNUSUAL = {
    "http-1.0": webhook(version=b"HTTP/1.0", host=()),
    "http-2.0-on-the-line": webhook(version=b"HTTP/2.0"),
    "query": webhook(target=b"/webhooks/leeds?from=roller"),
    "fragment": webhook(target=b"/webhooks/leeds#x"),
    "percent-encoded": webhook(target=b"/webhooks/%6ceeds"),
    "absolute": webhook(target=b"http://hooks.example.com/webhooks/leeds"),
    "absolute-elsewhere": webhook(target=b"https://u:p@other.example/webhooks/leeds"),
    "chunked": _chunked(chunks(message()[:9], message()[9:])),
    "chunks-of-one-byte": _chunked(chunks(*(bytes([byte]) for byte in message()))),
    "chunk-extension": _chunked(b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(message()), message())),
    "trailers": _chunked(chunks(message(), end=b"0\r\nX: y\r\nZ: \xff\r\n\r\n")),
    "chunked-in-1.0": webhook(b"", _CHUNKED, length=False, version=b"HTTP/1.0") + chunks(message()),
    "upgrade-h2c": webhook(
        None, b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk", b"Connection: Upgrade"
    ),
    "upgrade-websocket": webhook(
        None, b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13"
    ),
    "hundred-headers": webhook(None, *(b"X-%d: a" % n for n in range(100))),
    "header-not-ascii": webhook(None, b"X-Name: \xff\xfe \xc3\xa4"),
    "content-type-odd": webhook(None, b'Content-Type: multipart/form-data; boundary="'),
    "encoding-identity": webhook(None, b"Content-Encoding: Identity"),
    "encoding-empty": webhook(None, b"Content-Encoding:"),
    "empty-lines-before": b"\r\n" * 20 + webhook(),
    "second-key": webhook(key=b"the-key-after-rotation"),
    "key-with-spaces-around": webhook(key=b" \t" + KEY.encode() + b" "),
    "wrong-key-after-the-right-one": webhook(None, b"x-roller-apikey: another"),
}


@pytest.mark.parametrize("sent", [pytest.param(raw, id=name) for name, raw in UNUSUAL.items()])
async def test_what_http_allows_is_taken_however_unusual(here: Here, sent: bytes) -> None:
    """ROLLER's client, and the proxies between, may change without telling anybody."""
    answers = await here.send(sent)

    assert answers.statuses == [200]
    assert answers.closed
    assert [row.body for row in here.rows()] == [message()]


ELSEWHERE = [
    pytest.param(b"GET", b"/healthz", 200, id="health"),
    pytest.param(b"GET", b"/healthz?deep=1", 200, id="health-with-query"),
    pytest.param(b"POST", b"/healthz", 404, id="health-by-post"),
    pytest.param(b"GET", b"/", 404, id="root"),
    pytest.param(b"GET", b"/webhooks", 404, id="almost"),
    pytest.param(b"POST", b"/webhooksx/leeds", 404, id="longer"),
    pytest.param(b"POST", b"/api/webhooks/leeds", 404, id="deeper"),
    pytest.param(b"POST", b"/?/webhooks/leeds", 404, id="in-the-query"),
    pytest.param(b"GET", b"/api/status", 404, id="admin-route"),
]


@pytest.mark.parametrize(("method", "target", "status"), ELSEWHERE)
async def test_outside_webhooks_is_nothing_but_the_health_check(
    here: Here, method: bytes, target: bytes, status: int
) -> None:
    """The admin routes must not be reachable on the listener that the internet sees."""
    assert (await here.send(webhook(method=method, target=target))).statuses == [status]


async def test_a_client_that_waits_to_be_asked_is_asked(here: Here) -> None:
    """.NET's older HTTP client, for one, sends no body before it sees 100 Continue."""
    head, _, body = webhook(None, b"Expect: 100-continue").partition(b"\r\n\r\n")
    reader, writer = await here.webhooks.connect()
    writer.write(head + b"\r\n\r\n")
    interim = await reader.readuntil(b"\r\n\r\n")
    writer.write(body)
    answer = await reader.read()
    writer.close()

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_client_of_http_1_0_is_not_asked(here: Here) -> None:
    """It would take the interim answer for the answer (RFC 9110 §10.1.1)."""
    sent = webhook(None, b"Expect: 100-continue", version=b"HTTP/1.0")

    assert (await here.send(sent)).statuses == [200]


async def test_pipelined_webhooks_are_answered_in_order_up_to_the_first_refused(here: Here) -> None:
    """What comes after bytes that were refused may be part of them, so it is not trusted."""
    good = [webhook(message(f"m-{n}"), close=False) for n in range(4)]
    bad = webhook(message("m-bad"), key=b"wrong", close=False)

    answers = await here.send(good[0] + good[1] + bad + good[2])

    assert answers.statuses == [200, 200, 503]
    assert [row.key for row in here.rows()] == ["m-0", "m-1"]


async def test_garbage_after_a_webhook_leaves_its_answer_alone(here: Here) -> None:
    """The 200 of the first request must stay true, whatever its sender does next."""
    answers = await here.send(webhook(close=False), b"\x00garbage\r\n\r\n" + webhook(close=False))

    # Where both come in one packet, aiohttp's parser gives up the first with the second.
    assert answers.statuses in ([200, 503], [503])
    assert len(here.rows()) == answers.statuses.count(200)


async def test_a_connection_is_kept_for_the_next_webhook(here: Here) -> None:
    """A proxy opens a connection once and sends everything through it."""
    answers = await here.send(*(webhook(message(f"m-{n}"), close=n == 4) for n in range(5)))

    assert answers.statuses == [200] * 5
    assert answers.closed


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
async def test_hanging_up_at_any_byte_harms_nobody(
    here: Here, reset: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Port scanners and dying proxies do it all day; the next webhook must not notice."""
    sent = webhook(message("hung-up"))
    for size in range(0, len(sent), 3):
        _, writer = await here.webhooks.connect()
        writer.write(sent[:size])
        if reset:
            writer.transport.abort()
        writer.close()

    assert (await here.send(webhook())).statuses == [200]
    assert [row.key for row in here.rows()] == ["m-1"]
    assert [line["message"] for line in here.log() if line["level"] != "info"] == []
    assert caplog.messages == []


async def test_a_client_that_hangs_up_after_the_last_byte_is_served_all_the_same(
    here: Here,
) -> None:
    """ROLLER gives up after ten seconds; what it sent in full needs no second delivery."""
    for number in range(40):
        _, writer = await here.webhooks.connect()
        sent = webhook(message(f"m-{number}"))
        writer.write(sent[:-4])
        await asyncio.sleep(0)
        writer.write(sent[-4:])
        writer.close()

    await until(lambda: len(here.rows()) == 40)


async def test_random_damage_never_brings_out_another_status(here: Here) -> None:
    """The parser is C code that others maintain; what it does with the next byte is not ours."""
    dice = random.Random(20_261_121)
    stored = 0
    for number in range(_DAMAGED):
        sent = _damaged(webhook(message(f"m-{number}")), dice)
        statuses = (await here.send(sent, timeout=_A_MOMENT)).statuses
        targets = re.findall(rb"^[A-Z]+ (\S*)", sent, re.MULTILINE)
        outside = {404} if any(b"/webhooks/" not in target for target in targets) else set()
        assert set(statuses) <= {100, 200, 503} | outside, sent
        stored += statuses.count(200)

    assert sum(1 + row.duplicates for row in here.rows()) >= stored > 0
    assert (await here.send(webhook(message("after")))).statuses == [200]


#: Damaged requests that are sent, and seconds to wait for an answer to each; many get none.
_DAMAGED = 1000
_A_MOMENT = 0.02

_FRAGMENTS = (
    b"\r\n", b"\n", b"\x00", b" ", b":", b"\xff", b"%00", b"//", b"../", b"-1", b"0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"Content-Encoding: gzip\r\n",
    b"HTTP/1.0", b"CONNECT ", b"http://xn--", b"a" * 9000, b"GET / HTTP/1.1\r\n\r\n",
)  # fmt: skip


def _damaged(sent: bytes, dice: random.Random) -> bytes:
    made = bytearray(sent)
    for _ in range(dice.choice([1, 1, 1, 2, 3, 6])):
        at = dice.randrange(len(made) + 1)
        match dice.randrange(5):
            case 0:
                made[at : at + 1] = dice.randbytes(1)
            case 1:
                del made[at : at + dice.randrange(1, 20)]
            case 2:
                made[at:at] = dice.choice(_FRAGMENTS) * dice.randrange(1, 3)
            case 3:
                made[at:at] = made[:40]
            case _:
                made[at:at] = dice.randbytes(5)
    return bytes(made)
