"""`pipeline preview`, as somebody tries it before going live."""

import asyncio
import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pipeline.cli import main
from tests.cli.test_commands import config
from tests.e2e.world import World, free_address

__all__ = ["config"]

_KNOWN_VENUE = 'timezone = "Europe/London"\ncurrency = "GBP"\ncountry = "GB"\n'
_GUEST = {
    "firstName": "Markerfirst",
    "lastName": "Markerlast",
    "email": "Marker.Mail@Example.com",
    "phone": "07400 123457",
    "dateOfBirth": "1971-03-05",
    "gender": "Female",
    "taxIdentificationNumber": "Markertax",
    "address": {"street": "Markerstreet", "city": "Markercity"},
    "flags": [{"type": "Medical", "comment": "Markerflag"}],
    "acceptMarketing": True,
}
_COLOUR = re.compile(r"\x1b\[[\d;]*[349]\d")
_MARKERS = ("marker", "7400", "123457", "1971")


def _message(**booking: object) -> dict[str, Any]:
    whole = {
        "uniqueId": "3f8e5a4c-0000-4000-8000-000000000001",
        "bookingReference": "9774710",
        "createdDate": "2026-05-31T23:05:55.163Z",
        "source": "VenueManager",
        "channel": "Online",
        "status": "Paid",
        "customerId": 15617281,
        "total": 350.64,
        "items": [{"productId": 1, "quantity": 2, "bookingDate": "2026-07-04"}],
    }
    present = {name: value for name, value in (whole | booking).items() if value is not None}
    return {
        "id": "one",
        "type": 1,
        "eventType": 1,
        "eventDate": "2026-06-01T10:00:00Z",
        "data": {"booking": present},
    }


def _file(folder: Path, name: str, content: object) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else msgspec.json.encode(content))
    return str(path)


@pytest.fixture
def offline(config: Path) -> Path:
    """A configuration that says all of the venue, for a ROLLER that nobody can reach."""
    text = config.read_text().replace(
        'webhook_key = "key"\n',
        f'webhook_key = "key"\nbase_url = "http://{free_address()}"\n{_KNOWN_VENUE}',
    )
    config.write_text(text)
    return config


def _try(config: Path, message: object, *more: str) -> int:
    file = _file(config.parent, "message.json", message)
    return main(["preview", file, "--config", str(config), *more])


def _with_guest(config: Path) -> list[str]:
    return ["--guest", _file(config.parent, "guest.json", _GUEST)]


def test_a_person_sees_each_request_and_nobody_behind_it(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is on a screen is soon in a ticket."""
    for extra in ([], ["--json"]):
        assert _try(offline, _message(), *_with_guest(offline), *extra) == 0
        shown, said = capsys.readouterr()
        assert not [marker for marker in _MARKERS if marker in shown.lower() + said.lower()]
        for word in (
            "/v1/guests/GUEST_ID/booking",
            "PUT",
            "<e-mail>",
            "<phone>",
            "35064",
            "--reveal",
        ):
            assert word in shown


def test_reveal_shows_what_would_be_sent_as_it_is(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong phone number is found by looking at it."""
    assert _try(offline, _message(), *_with_guest(offline), "--reveal", "--json") == 0
    document = msgspec.json.decode(capsys.readouterr().out)
    assert (document["source"], document["reference"]) == ("leeds", "9774710")
    assert document["revealed"] is True
    guest = document["destinations"]["stampede"]["requests"][1]
    asked = document["destinations"]["stampede"]["requests"][0]
    assert asked == {
        "method": "GET",
        "path": "/v1/guests?search=marker.mail@example.com",
        "body": None,
    }
    assert (guest["method"], guest["path"]) == ("POST", "/v1/guests")
    assert guest["body"]["email"] == "marker.mail@example.com"
    assert guest["body"]["phone"] == "+447400123457"
    assert "not told of yet" in document["notes"][0]


@pytest.mark.parametrize(
    ("booking", "said"),
    [({"status": "Draft"}, "skipped: draft"), ({"total": 1.005}, "parked: ")],
    ids=["draft", "not whole pence"],
)
def test_the_reason_why_nothing_is_sent_is_shown(
    offline: Path, capsys: pytest.CaptureFixture[str], booking: dict[str, object], said: str
) -> None:
    """Nothing is a right answer too, if it says why."""
    assert _try(offline, _message(**booking), *_with_guest(offline)) == 0
    shown = capsys.readouterr().out
    assert said in shown
    assert "nothing would be sent" in shown
    assert "POST" not in shown


@pytest.mark.parametrize(
    ("message", "state", "reason"),
    [
        (_message(customerId=None), "skipped", "no customer"),
        (_message(customerId=None, status="Cancelled"), "skipped", "no customer"),
        (
            {"type": 4, "eventType": 2, "data": {}},
            None,
            "it names a customer, of whom the daemon tells those who were told before",
        ),
        ({"type": 99, "eventType": 2, "data": {}}, None, "not used"),
    ],
    ids=["walk-in", "cancelled walk-in", "a customer", "an unknown kind"],
)
def test_what_makes_nothing_is_told_as_a_document_too(
    offline: Path,
    capsys: pytest.CaptureFixture[str],
    message: object,
    state: str | None,
    reason: str,
) -> None:
    """It is what the daemon would do, and no failure; it asks nobody."""
    assert _try(offline, message, "--json") == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["destinations"] == {"stampede": {"requests": [], "state": state, "reason": reason}}
    assert found["notes"]
    assert _try(offline, message) == 0
    assert reason in capsys.readouterr().out


@pytest.mark.parametrize("customer", [None, 15617281])
def test_a_draft_asks_roller_nothing(
    offline: Path, capsys: pytest.CaptureFixture[str], customer: int | None
) -> None:
    """It is told to nobody, whoever made it; and ROLLER bills its calls by the month."""
    assert _try(offline, _message(status="Draft", customerId=customer)) == 0
    assert "skipped: draft" in capsys.readouterr().out


def test_what_only_roller_could_complete_is_said(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --guest nobody is asked, so the daemon may know more than what is shown."""
    assert _try(offline, _message(total=None), *_with_guest(offline)) == 0
    assert "the daemon asks ROLLER" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"{nonsense", "not JSON"),
        (b"\xff\xfe", "message.json: "),
        (b"[]", "message.json: "),
        (b"", "not JSON"),
        (b'{"data":' * 100_000, "nested too deeply"),
        ({"type": 1, "eventType": 1, "data": {}}, "uniqueId"),
        (_message(total="1e400"), "total"),
        (b" " * 1_048_577, "server.max_body"),
    ],
    ids=[
        "not JSON", "not text", "a list", "empty", "deep", "no booking", "absurd", "too long",
    ],
)  # fmt: skip
def test_a_message_that_cannot_be_shown_gets_one_sentence(
    offline: Path, capsys: pytest.CaptureFixture[str], message: object, said: str
) -> None:
    """Whoever has the wrong file needs no traceback."""
    assert _try(offline, message, *_with_guest(offline)) == 1
    shown, complaint = capsys.readouterr()
    assert shown == ""
    [line] = complaint.splitlines()
    assert said in line


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"error": "no"}', b"\xff"])
def test_a_file_that_is_no_guest_is_named(
    offline: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    """There are two files, so the sentence says which."""
    guest = _file(offline.parent, "guest.json", content)
    assert _try(offline, _message(), "--guest", guest) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "guest.json: not a guest" in line


def test_files_that_cannot_be_read_are_named(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first mistake of all is the wrong file."""
    options = ["--config", str(offline)]
    for file, said in (("missing.json", "there is no such file"), ("", "directory")):
        assert main(["preview", str(offline.parent / file), *options]) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert said in line
    assert _try(offline, _message(), "--guest", str(offline.parent / "none.json")) == 1
    assert "none.json: there is no such file" in capsys.readouterr().err


def test_the_source_is_needed_only_where_there_is_a_choice(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one venue there is nothing to choose; with two, a guess could be wrong."""
    assert _try(offline, _message(status="Draft"), "--source", "york") == 2
    assert "there is no source york" in capsys.readouterr().err
    [leeds] = offline.read_text().split("[sources.leeds]")[1].split("[destinations")[:1]
    offline.write_text(offline.read_text() + f"[sources.york]{leeds}")
    assert _try(offline, _message(status="Draft")) == 2
    assert "leeds, york" in capsys.readouterr().err
    assert _try(offline, _message(), "--source", "york") == 0
    assert "does not take the source york" in capsys.readouterr().out


def test_a_wrong_configuration_exits_with_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with every command."""
    assert _try(tmp_path / "config.toml", _message()) == 78
    capsys.readouterr()


def test_one_of_the_files_may_be_standard_input(
    offline: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a message need not be put into a file first; but there is one input only."""
    body = io.BytesIO(msgspec.json.encode(_message()))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=body))
    options = ["--config", str(offline), *_with_guest(offline)]
    assert main(["preview", "-", *options]) == 0
    assert "9774710" in capsys.readouterr().out
    assert main(["preview", "-", *options]) == 1
    assert "standard input: " in capsys.readouterr().err
    assert main(["preview", "-", "--config", str(offline), "--guest", "-"]) == 2
    capsys.readouterr()


def test_settings_that_nobody_else_tells_are_named(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a network, the configuration must say what ROLLER would."""
    offline.write_text(offline.read_text().replace('currency = "GBP"\ncountry = "GB"\n', ""))
    assert _try(offline, _message(), *_with_guest(offline)) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "set currency, country in [sources.leeds]" in line
    assert "timezone" not in line


def test_a_roller_that_cannot_be_reached_exits_with_69(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script must be able to tell "later" from "wrong"."""
    assert _try(offline, _message()) == 69
    [line] = capsys.readouterr().err.splitlines()
    assert "no connection" in line


def test_text_that_could_steer_a_terminal_is_written_as_escapes(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A booking's words come from whoever made the booking."""
    message = _message(channel="\x1b[2J\x9b2J[red]\u202e")
    assert _try(offline, message, *_with_guest(offline)) == 0
    shown = capsys.readouterr().out
    assert "[red]" in shown
    assert not [c for c in shown if not c.isprintable() and c != "\n"]


def test_colour_is_for_terminals_and_obeys_no_color(
    offline: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some cannot see it, and no file wants it."""
    arguments = [*_with_guest(offline), "--json"]
    monkeypatch.setenv("FORCE_COLOR", "1")
    _try(offline, _message(), *arguments[:-1])
    assert _COLOUR.search(capsys.readouterr().out)
    _try(offline, _message(), *arguments)
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    _try(offline, _message(), *arguments[:-1])
    assert not _COLOUR.search(capsys.readouterr().out)


async def _asked(here: World, message: object, *more: str) -> int:
    return await asyncio.to_thread(_try, here.path, message, *more)


async def test_the_guest_and_the_venue_are_asked_from_roller(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing has run yet: no outbox, no token; and none is made."""
    customer = await here.guest(**_GUEST)
    assert await _asked(here, _message(customerId=customer), "--reveal") == 0
    shown = capsys.readouterr().out
    assert '"marker.mail@example.com"' in shown
    assert "2026-07-04T00:00:00+01:00" in shown
    assert [r["path"] for r in await here.requests("roller")] == [
        "/token", f"/guests/{customer}", "/venues/me", "/products",
    ]  # fmt: skip
    assert await here.requests("stampede") == []
    assert sorted(one.name for one in here.folder.iterdir()) == ["config.toml", "message.json"]


async def test_a_guest_whom_roller_does_not_know_is_said_to_be_so(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message may be of another venue than --source says."""
    assert await _asked(here, _message(customerId=1)) == 0
    assert "does not know the customer" in capsys.readouterr().out
    assert await _asked(here, _message(customerId=1, status="Cancelled")) == 0
    assert "customer not known" in capsys.readouterr().out


async def test_a_running_daemon_does_not_notice(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its token is used and not replaced, its outbox read and not written."""
    async with here.running():
        made = await here.book(booking={})
        await here.settled()
        tokens = here.folder / "outbox.db.tokens"
        before = (tokens.read_bytes(), tokens.stat().st_ino, await here.requests("stampede"))
        rows = here.rows("SELECT * FROM events, deliveries, attempts")
        asked = len(await here.requests("roller"))
        assert await _asked(here, made["message"]) == 0
        customer = made["booking"]["customerId"]
        new = (await here.requests("roller"))[asked:]
        assert [r["path"] for r in new] == [f"/guests/{customer}"]
        assert before == (
            tokens.read_bytes(),
            tokens.stat().st_ino,
            await here.requests("stampede"),
        )
        assert here.rows("SELECT * FROM events, deliveries, attempts") == rows
    capsys.readouterr()


async def test_what_the_outbox_knows_of_the_venue_serves_without_a_network(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever has run it once need not fill in the venue to try a message."""
    async with here.running():
        await here.book(booking={})
        await here.settled()
    assert await _asked(here, _message(), *_with_guest(here.path)) == 0
    assert "GBP" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["no outbox", "not ours", "a folder"])
def test_an_outbox_that_cannot_be_read_is_no_obstacle(
    offline: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    """It belongs to the daemon's user; what it would say can be set."""
    offline.write_text(offline.read_text().replace('currency = "GBP"\n', ""))
    outbox = offline.with_name("outbox.db")
    if what == "not ours":
        outbox.write_bytes(b"not a database" * 1000)
    elif what == "a folder":
        outbox.mkdir()
    assert _try(offline, _message(), *_with_guest(offline)) == 1
    assert "set currency in" in capsys.readouterr().err


async def test_a_token_that_was_taken_back_is_replaced_in_memory_only(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The daemon will find out by itself, and keeps the file."""
    customer = await here.guest(**_GUEST)
    async with here.running():
        await here.book(booking={})
        await here.settled()
    tokens = here.folder / "outbox.db.tokens"
    kept = msgspec.json.decode(tokens.read_bytes())
    kept["roller.leeds"]["token"] = "taken-back"
    tokens.write_bytes(msgspec.json.encode(kept))
    assert await _asked(here, _message(customerId=customer)) == 0
    assert msgspec.json.decode(tokens.read_bytes()) == kept
    capsys.readouterr()


@pytest.mark.parametrize(("kind", "code"), [("500", 69), ("429", 69), ("reset", 69), (None, 1)])
async def test_a_roller_that_fails_is_told_apart_from_one_that_refuses(
    here: World, capsys: pytest.CaptureFixture[str], kind: str | None, code: int
) -> None:
    """The first passes by itself, the second does not."""
    if kind:
        await here.control("roller", "faults", {"rate": 1.0, "kind": kind})
    else:
        here.replace('client_secret = "', 'client_secret = "not-')
    assert await _asked(here, _message()) == code
    shown, complaint = capsys.readouterr()
    assert shown == ""
    assert len(complaint.splitlines()) == 1
    assert "Traceback" not in complaint


def test_help_shows_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    """Most people read the examples only."""
    with pytest.raises(SystemExit) as stopped:
        main(["preview", "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    for word in (
        "pipeline preview message.json --guest guest.json",
        "--reveal",
        "GET /guests/{id}",
    ):
        assert word in shown


def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that has a typo must not look like one that failed."""
    for arguments in (["preview"], ["preview", "a", "b"], ["preview", "a", "--sauce", "leeds"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
    capsys.readouterr()
