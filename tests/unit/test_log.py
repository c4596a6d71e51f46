"""One line for each thing that happened, with ids and never with people."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from pipeline.log import Bridge, Log, trace
from tests.fakes import FakeClock
from tests.waiting import turn


@pytest.fixture
def sink() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(clock: FakeClock, sink: io.StringIO) -> Log:
    return Log(clock, level="info", style="json", sink=sink)


def _fails() -> None:
    raise ValueError("anna@example.com")


def _lines(sink: io.StringIO) -> list[Any]:
    return [msgspec.json.decode(line) for line in sink.getvalue().splitlines()]


def test_a_line_is_one_json_object(log: Log, sink: io.StringIO) -> None:
    """Machines read it."""
    log.info("delivered", delivery=7, destination="stampede")
    assert _lines(sink) == [
        {
            "at": "2026-11-21T12:00:00.000Z",
            "level": "info",
            "message": "delivered",
            "delivery": 7,
            "destination": "stampede",
        }
    ]


def test_what_is_below_the_level_is_not_written(log: Log, sink: io.StringIO) -> None:
    """The operator chose."""
    log.debug("slept")
    log.info("delivered")
    log.warning("held back")
    log.error("failed")
    assert [line["level"] for line in _lines(sink)] == ["info", "warning", "error"]


def test_a_value_that_json_lacks_is_written_as_text(log: Log, sink: io.StringIO) -> None:
    """A line must never be the reason why work stops."""
    log.info("odd", value={1, 2}.__class__, newline="a\nb")
    [line] = _lines(sink)
    assert line["value"] == "<class 'set'>"
    assert line["newline"] == "a\nb"


async def test_lines_are_gathered_within_a_turn_of_the_loop(log: Log, sink: io.StringIO) -> None:
    """A system call for each would cost more than storing the webhook."""
    log.info("first")
    log.info("second")
    assert sink.getvalue() == ""
    await turn()
    assert [line["message"] for line in _lines(sink)] == ["first", "second"]


def test_the_console_style_is_for_people(clock: FakeClock, sink: io.StringIO) -> None:
    """Words first."""
    Log(clock, level="info", style="console", sink=sink).info("parked", delivery="d7")
    assert "info" in sink.getvalue()
    assert sink.getvalue().rstrip().endswith("parked         delivery=d7")


def test_nobody_listening_is_no_reason_to_stop(clock: FakeClock) -> None:
    """A closed pipe must not lose a webhook."""

    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    Log(clock, level="info", style="json", sink=Broken()).info("received")


def test_a_trace_tells_the_place_and_not_the_text() -> None:
    """An exception's text may quote somebody."""
    with pytest.raises(ValueError, match="anna") as caught:
        _fails()
    told = trace(caught.value)
    assert told.startswith("ValueError at test_log.py:")
    assert "_fails" in told
    assert "anna" not in told


@pytest.fixture
def library(log: Log, clock: FakeClock) -> Iterator[logging.Logger]:
    """A library's logger, whose lines come into ours."""
    logger, bridge = logging.getLogger("library"), Bridge(log, clock)
    logger.addHandler(bridge)
    yield logger
    logger.removeHandler(bridge)


def test_what_libraries_log_comes_without_values(
    library: logging.Logger, sink: io.StringIO
) -> None:
    """Their arguments may be somebody's data."""
    try:
        _fails()
    except ValueError:
        library.exception("could not read %s\nmore", "anna@example.com")
    library.warning("bea@example.com failed")
    library.info("not heard")
    first, second = _lines(sink)
    assert (first["text"], first["error"], first["logger"]) == (
        "could not read %s",
        "ValueError",
        "library",
    )
    assert second["text"] == "… failed"
    assert "anna" not in sink.getvalue()


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_field_that_cannot_be_encoded_takes_no_line_with_it(clock: FakeClock, style: str) -> None:
    """Lines are written together, and the others are no worse for it."""
    raw = io.BytesIO()
    log = Log(clock, level="info", style=style, sink=io.TextIOWrapper(raw, encoding="utf-8"))
    log.info("one")
    log.error("two", reason="\udcff", number=2**70)
    log.info("three")
    log.flush()
    assert [word in raw.getvalue() for word in (b"one", b"two", b"three")] == [True] * 3


def test_the_same_text_comes_once_a_minute_with_how_many_were_left_out(
    library: logging.Logger, clock: FakeClock, sink: io.StringIO
) -> None:
    """A stranger who sends garbage must not fill the disk."""
    for second in range(61):
        library.error("could not read from %s", f"10.0.0.{second}")
        library.warning("another")
        clock.advance(1)
    told = [(line["text"], line.get("left_out")) for line in _lines(sink)]
    read, other = "could not read from %s", "another"
    assert told == [(read, None), (other, None), (read, 59), (other, 59)]


def test_texts_that_are_never_the_same_are_limited_all_together(
    library: logging.Logger, clock: FakeClock, sink: io.StringIO
) -> None:
    """Some libraries put the values into the text."""
    for number in range(1000):
        library.warning(f"could not read {number}")
    assert len(_lines(sink)) == 101
    clock.advance(60)
    for number in range(1000):
        library.warning(f"could not write {number}")
    lines = _lines(sink)
    assert len(lines) == 201
    assert [line["left_out"] for line in lines if "left_out" in line] == [899]
