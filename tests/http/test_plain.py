"""Webhooks on a connection that stays open are taken in by a shorter way, with the same answers."""

import asyncio
import io

import pytest
from aiohttp import web

from pipeline.listener import Refusal, WebhookServer, start_site
from pipeline.log import Log
from pipeline.settings import Address
from tests.fakes import FakeClock
from tests.http.support import MAX_BODY, Answers, Here, Peer, message, webhook
from tests.waiting import LONG, until


def _plain(body: bytes | None = None, *extra: bytes, **other: bytes | None) -> bytes:
    return webhook(body, *extra, close=False, **other)  # type: ignore[arg-type]


#: Asks for nothing and is the last: the server closes after it, so that no test need wait.
_GOODBYE = webhook(method=b"GET", target=b"/healthz", key=None, body=b"")


async def _send(here: Here, *requests: bytes) -> Answers:
    return await here.send(b"".join(requests) + _GOODBYE)


async def test_many_come_in_one_packet_and_are_answered_in_order(here: Here) -> None:
    """A proxy keeps few connections, and sends what it has."""
    answers = await _send(here, *(_plain(message(f"m-{n}")) for n in range(20)))
    assert answers.statuses == [200] * 21
    assert [row.key for row in here.rows()] == [f"m-{n}" for n in range(20)]


async def test_an_odd_request_in_between_is_answered_as_anywhere(here: Here) -> None:
    """From it on the connection is aiohttp's, and what follows must not be lost."""
    answers = await _send(
        here,
        _plain(message("first")),
        webhook(method=b"GET", target=b"/elsewhere", body=b"", close=False),
        _plain(message("second")),
    )
    assert answers.statuses == [200, 404, 200, 200]
    assert [row.key for row in here.rows()] == ["first", "second"]


@pytest.mark.parametrize(
    "request_",
    [
        _plain(key=b"wrong"),
        _plain(key=None),
        _plain(target=b"/webhooks/nobody"),
        _plain(target=b"/webhooks/"),
        _plain(method=b"PUT"),
        _plain(None, b"Content-Encoding: strange"),
        _plain(None, b"Expect: a miracle"),
    ],
    ids=["wrong key", "no key", "no source", "no name", "PUT", "encoding", "expectation"],
)
async def test_what_is_refused_elsewhere_is_refused_after_a_good_one(
    here: Here, request_: bytes
) -> None:
    """The key is looked at for every request, and not for every connection."""
    answers = await here.send(_plain() + request_)
    assert answers.statuses == [200, 503]
    assert answers.closed
    assert len(here.rows()) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"no JSON", "unreadable: the body is not JSON"),
        (b"", "unreadable: the body is not JSON"),
        (b'"%s"' % (b"x" * MAX_BODY), "too_large"),
    ],
    ids=["garbage", "empty", "too large"],
)
async def test_what_is_authentic_but_unreadable_is_kept(
    here: Here, body: bytes, reason: str
) -> None:
    """One message that always fails would stop a venue's data for good."""
    answers = await _send(here, _plain(body), _plain())
    assert answers.statuses == [200, 200, 200]
    assert [row.reason for row in here.rows()] == [reason, None]
    [parked] = [line for line in here.log() if line["message"] == "parked"]
    assert (parked["event"], parked["reason"]) == (1, reason)


async def test_a_repetition_is_counted_once_each(here: Here) -> None:
    """The same message twice in one packet is in one commit."""
    await _send(here, _plain(), _plain(), _plain())
    assert [row.duplicates for row in here.rows()] == [2]
    told = [(line["message"], line["event"]) for line in here.log() if "event" in line]
    assert told == [("received", 1), ("received again", 1), ("received again", 1)]


async def test_without_room_it_is_refused_and_the_connection_ends(here: Here) -> None:
    """What follows on it would be refused too; ROLLER comes again."""
    here.receiver.room = 1
    answers = await here.send(_plain(message("in")) + _plain(message("out")))
    assert answers.statuses == [200, 503]
    assert answers.closed
    assert here.log()[-1]["reason"] == "the outbox is full"


async def test_a_client_that_hangs_up_leaves_its_message(here: Here) -> None:
    """It was authentic, so it is kept; nobody is there to be answered, and that is no error."""
    _, writer = await here.webhooks.connect()
    writer.write(_plain())
    writer.close()
    await until(here.log)
    assert here.rows()
    assert {line["level"] for line in here.log()} == {"info"}


@pytest.mark.parametrize("fault", [ValueError("ada@example.com"), Refusal("full")], ids=repr)
async def test_a_fault_is_503_and_logged_without_what_it_says(fault: Exception) -> None:
    """The text of an exception may quote a guest; where it was raised is enough to mend it."""
    lines = io.StringIO()
    log = Log(FakeClock(), level="info", style="json", sink=lines)

    async def ordinary(_: web.BaseRequest) -> web.StreamResponse:
        raise AssertionError

    async def take() -> None:
        await asyncio.sleep(0)
        raise fault

    runner = web.ServerRunner(WebhookServer(ordinary, log, plain=lambda *_: take()))
    await runner.setup()
    try:
        address = await start_site(runner, Address(host="127.0.0.1", port=0))
        answers = await Peer(int(address.rpartition(":")[2])).send(_plain())
    finally:
        await runner.cleanup()

    log.flush()
    assert (answers.statuses, answers.closed) == ([503], True)
    assert ("ValueError at test_plain.py" in lines.getvalue()) == isinstance(fault, ValueError)
    assert "ada" not in lines.getvalue()


@pytest.mark.parametrize("turns", range(8))
async def test_an_answer_given_as_the_stop_begins_holds_up_nothing(turns: int) -> None:
    """Its connection would otherwise be waited for until the grace is over."""
    log = Log(FakeClock(), level="info", style="json", sink=io.StringIO())
    taking, stored = asyncio.Event(), asyncio.Event()

    async def ordinary(_: web.BaseRequest) -> web.StreamResponse:
        raise AssertionError

    async def take() -> None:
        taking.set()
        await stored.wait()

    server = WebhookServer(ordinary, log, plain=lambda *_: take())
    runner = web.ServerRunner(server, shutdown_timeout=LONG)
    await runner.setup()
    address = await start_site(runner, Address(host="127.0.0.1", port=0))
    sending = asyncio.create_task(Peer(int(address.rpartition(":")[2])).send(_plain()))
    await taking.wait()
    stopping = asyncio.create_task(runner.cleanup())
    for _ in range(turns):
        await asyncio.sleep(0)
    stored.set()
    async with asyncio.timeout(10):  # the client would end it after twenty
        await stopping
    assert (await sending).statuses == [200]
