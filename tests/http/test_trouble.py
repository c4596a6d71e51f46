"""What the listener says when it cannot take a webhook: 503, and the truth about why."""

import asyncio
import io
import sqlite3

import msgspec
import pytest
from aiohttp import web

from pipeline.client import fetch_status
from pipeline.config import Server
from pipeline.errors import PipelineError
from pipeline.listener import WebhookServer, start_site
from pipeline.log import Log
from pipeline.settings import Address, Secret
from tests.fakes import FakeClock
from tests.http.support import TOKEN, Here, Peer, message, webhook
from tests.waiting import LONG, until


def _rename(here: Here, old: str, new: str) -> None:
    """Take the outbox's table away, or bring it back, behind the daemon's back."""
    connection = sqlite3.connect(here.folder / "outbox.db", timeout=5)
    try:
        connection.execute(f"ALTER TABLE {old} RENAME TO {new}")
        connection.commit()
    finally:
        connection.close()


async def test_an_outbox_that_fails_is_503_until_it_works_again(here: Here) -> None:
    """A 200 means on disk; what is not on disk must be asked for again."""
    _rename(here, "event", "gone")
    for number in range(3):
        assert (await here.send(webhook(message(f"m-{number}")))).statuses == [503]
    [line] = here.log()
    assert (line["message"], line["source"]) == ("refused", "leeds")
    assert "no such table" in line["reason"]
    assert (await here.admin.first(_ready())) == 503

    _rename(here, "gone", "event")
    assert (await here.send(webhook())).statuses == [200]
    assert (await here.admin.first(_ready())) == 200


async def test_the_status_of_an_outbox_that_cannot_be_read_is_one_sentence(here: Here) -> None:
    """Just when something is wrong, somebody looks."""
    asked = _ready().replace(b"/readyz", b"/api/status")
    asked = asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    _rename(here, "counter", "gone")
    answers = await here.admin.send(asked)
    assert answers.statuses == [503]
    said = msgspec.json.decode(answers.raw.partition(b"\r\n\r\n")[2])
    assert said == {"error": "the outbox cannot be read: no such table: counter"}
    assert isinstance(here.admin.where, int)
    server = Server(
        admin=Address(host="127.0.0.1", port=here.admin.where), admin_token=Secret(TOKEN)
    )
    with pytest.raises(PipelineError, match="cannot tell: the outbox cannot be read: no such"):
        await fetch_status(server)

    _rename(here, "gone", "counter")
    assert (await here.admin.send(asked)).statuses == [200]


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("/api/events", "event"),
        ("/api/events/e1", "event"),
        ("/api/deliveries", "delivery"),
        ("/api/deliveries/d1", "delivery"),
        ("/metrics", "counter"),
    ],
)
async def test_whatever_is_asked_of_an_outbox_that_cannot_be_read_is_one_sentence(
    here: Here, path: str, table: str
) -> None:
    """A 500 would say that we are broken, and not what is."""
    asked = _ready().replace(b"/readyz", path.encode())
    asked = asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    _rename(here, table, "gone")
    answers = await here.admin.send(asked)
    assert answers.statuses == [503]
    said = msgspec.json.decode(answers.raw.partition(b"\r\n\r\n")[2])
    assert said["error"].startswith("the outbox cannot be read: ")


async def test_a_disk_that_has_become_read_only_is_503_until_it_is_writable_again(
    here: Here,
) -> None:
    """A kernel remounts a disk read-only when it finds it damaged."""
    connection = here.outbox._writer._connection  # noqa: SLF001 - the disk of this test
    await connection.execute_fetchall("PRAGMA query_only = ON")
    assert (await here.send(webhook())).statuses == [503]
    answers = await here.admin.send(_ready().replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answers.statuses == [503]
    assert b"readonly database" in answers.raw

    await connection.execute_fetchall("PRAGMA query_only = OFF")
    assert (await here.send(webhook())).statuses == [200]
    assert (await here.admin.first(_ready())) == 200


def _ready() -> bytes:
    return (
        b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer the-admin-token\r\n\r\n"
    )


async def test_a_fault_of_our_own_is_503_and_logged_without_what_it_says() -> None:
    """The text of an exception may quote a guest; where it was raised is enough to mend it."""
    clock, lines = FakeClock(), io.StringIO()
    log = Log(clock, level="info", style="json", sink=lines)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        raise ValueError(await request.text())

    runner = web.ServerRunner(WebhookServer(handle, log))
    await runner.setup()
    try:
        address = await start_site(runner, Address(host="127.0.0.1", port=0))
        status = await Peer(int(address.rpartition(":")[2])).first(webhook(b"ada@example.com"))
    finally:
        await runner.cleanup()

    log.flush()
    assert status == 503
    assert "failed unexpectedly" in lines.getvalue()
    assert "ValueError at test_trouble.py" in lines.getvalue()
    assert "ada" not in lines.getvalue()


async def test_without_room_in_the_outbox_webhooks_are_refused(here: Here) -> None:
    """What fills the disk today would lose everything tomorrow; ROLLER keeps it for four days."""
    here.receiver.room = 2

    statuses = [(await here.send(webhook(message(f"m-{n}")))).statuses for n in range(3)]

    assert statuses == [[200], [200], [503]]
    assert here.log()[-1]["reason"] == "the outbox is full"


async def test_while_shutting_down_new_webhooks_are_refused(here: Here) -> None:
    """The successor, or this one's next start, will take them at the next attempt."""
    here.receiver.close()
    here.reporter.stopping = True

    assert (await here.send(webhook())).statuses == [503]
    assert here.rows() == []
    answers = await here.admin.send(_ready().replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answers.statuses == [503]
    assert answers.raw.endswith(b"shutting down")


async def test_a_body_on_its_way_is_refused_at_once_when_shutting_down(here: Here) -> None:
    """One slow sender must not hold up the stop for as long as a body may take."""
    reader, writer = await here.webhooks.connect()
    writer.write(webhook(message()[:20], b"Content-Length: 9999", length=False))
    await until(lambda: here.runner.server is not None and here.runner.server.requests_count == 1)

    here.receiver.close()
    async with asyncio.timeout(LONG / 4):
        assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
    writer.close()


async def test_what_was_sent_before_the_stop_is_answered(here: Here) -> None:
    """A webhook that is being stored gets its 200; ROLLER would only repeat it."""
    sending = [
        asyncio.create_task(here.send(webhook(message(f"m-{n}"), close=False)), name=f"m-{n}")
        for n in range(20)
    ]
    server = here.runner.server
    assert server is not None
    await until(lambda: server.requests_count == 20)

    here.receiver.close()
    await here.runner.cleanup()
    answers = await asyncio.gather(*sending)

    assert sum(answer.statuses == [200] for answer in answers) == len(here.rows())
    assert {status for answer in answers for status in answer.statuses} <= {200, 503}
    assert all(answer.closed and answer.statuses for answer in answers)


async def test_repetitions_at_the_same_moment_are_one_event(here: Here) -> None:
    """ROLLER's repetition may overtake the first delivery, and both are answered 200."""
    answers = await asyncio.gather(*(here.send(webhook()) for _ in range(20)))

    assert [answer.statuses for answer in answers] == [[200]] * 20
    assert [row.duplicates for row in here.rows()] == [19]


async def test_the_counters_add_up_whatever_came(here: Here) -> None:
    """The sum over the states is what was accepted, and that is the rows there are."""
    for number in range(10):
        await here.send(webhook(message(f"m-{number % 4}")))
        await here.send(webhook(b"not JSON %d" % number))
        await here.send(webhook(key=b"wrong"))

    events = dict((await here.status()).events)
    assert events.pop("duplicates") == 6
    assert events.pop("accepted") == sum(events.values()) == len(here.rows()) == 14
