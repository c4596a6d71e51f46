"""One line for each thing that happened: JSON for machines, or plain text for people.

Messages are constant, lower-case and in the past tense; facts are fields, and fields are ids,
never people. Lines are gathered and written once per turn of the event loop, because a system call
for each would cost more than storing the webhook that it tells of.
"""

import asyncio
import logging
import sys
import traceback
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

import orjson

from pipeline.clock import SECOND, Clock, iso
from pipeline.redact import redact

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

#: Microseconds for which a library's text is not told again, and how many texts are told apart.
_QUIET = 60 * SECOND
_MOST_TEXTS = 100
_OTHERS = ("", "")

#: Microseconds since 1970, level, message, fields.
_Entry = tuple[int, str, str, dict[str, object]]


class Log:
    """Writes lines from a level on."""

    def __init__(self, clock: Clock, *, level: str, style: str, sink: TextIO | None = None) -> None:
        self._clock = clock
        self._from = _LEVELS[level]
        self._render = _as_json if style == "json" else _as_text
        self._sink = sink or sys.stderr
        self._entries: list[_Entry] = []

    def debug(self, message: str, **fields: object) -> None:
        """Tell what only a developer wants to know."""
        self._note("debug", message, fields)

    def info(self, message: str, **fields: object) -> None:
        """Tell what happened."""
        self._note("info", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Tell what a person should know of."""
        self._note("warning", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Tell what a person must look at."""
        self._note("error", message, fields)

    def flush(self) -> None:
        """Write what has gathered."""
        entries, self._entries = self._entries, []
        if entries:
            text = "".join(map(self._render, entries))
            with suppress(OSError, ValueError):  # nobody listens any more: no reason to stop
                self._sink.write(text)
                self._sink.flush()

    def _note(self, level: str, message: str, fields: dict[str, object]) -> None:
        if _LEVELS[level] < self._from:
            return
        self._entries.append((self._clock.now(), level, message, fields))
        if len(self._entries) == 1:
            self._flush_soon()

    def _flush_soon(self) -> None:
        try:
            asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:  # no loop runs: before it starts, or after it ended
            self.flush()


def _as_json(entry: _Entry) -> str:
    now, level, message, fields = entry
    record = {"at": iso(now), "level": level, "message": message, **fields}
    try:
        line = orjson.dumps(record, default=str, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # a number beyond 64 bits, say, or half a character
        texts = {name: _plain(str(value)) for name, value in record.items()}
        line = orjson.dumps(texts, option=orjson.OPT_APPEND_NEWLINE)
    return line.decode()


def _plain(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _as_text(entry: _Entry) -> str:
    now, level, message, fields = entry
    shown = datetime.fromtimestamp(now / 1e6).astimezone().strftime("%H:%M:%S")
    facts = " ".join(f"{name}={value}" for name, value in fields.items())
    return _plain(f"{shown} {level:<7} {message:<14} {facts}\n")


def trace(exc: BaseException) -> str:
    """Tell where an unexpected exception came from, without its text, which may quote somebody."""
    frames = traceback.extract_tb(exc.__traceback__)
    where = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
    return f"{type(exc).__name__} at {where}"


class Bridge(logging.Handler):
    """Brings what libraries log into our lines, the same text at most once a minute.

    For each line of garbage that a stranger sends, aiohttp logs one.
    """

    def __init__(self, log: Log, clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._clock = clock
        #: By logger and text: when it was last told, and how often it came since.
        self._told: dict[tuple[str, str], tuple[int, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, without the arguments' values, which may be somebody's data."""
        # asyncio quotes whole exceptions below its first line.
        text = redact(str(record.msg).partition("\n")[0])
        left_out = self._since_told(record.name, text)
        if left_out is None:
            return
        cause = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        more = {"left_out": left_out} if left_out else {}
        self._log.warning("library warned", logger=record.name, text=text, error=cause, **more)

    def _since_told(self, name: str, text: str) -> int | None:
        """Tell how many of a text were left out since the last; None if this one is, too."""
        now = self._clock.boot()
        key = (name, text)
        if key not in self._told and len(self._told) >= _MOST_TEXTS:
            self._told = {
                k: v for k, v in self._told.items() if k == _OTHERS or now - v[0] < _QUIET
            }
            # Texts that are never the same share what room is left.
            key = key if len(self._told) < _MOST_TEXTS else _OTHERS
        at, left_out = self._told.get(key, (None, 0))
        if at is not None and now - at < _QUIET:
            self._told[key] = (at, left_out + 1)
            return None
        self._told[key] = (now, 0)
        return left_out
