"""One line for each thing that happened: JSON for machines, or plain text for people.

Messages are constant, lower-case and in the past tense; facts are fields, and fields are ids,
never people. Lines are gathered and written once per turn of the event loop, because a system call
for each would cost more than storing the webhook that it tells of.
"""

import asyncio
import logging
import sys
import traceback
from datetime import datetime
from pathlib import Path
from typing import TextIO

import orjson

from pipeline.clock import Clock, iso
from pipeline.redact import redact

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Log:
    """Writes lines from a level on."""

    def __init__(self, clock: Clock, *, level: str, style: str, sink: TextIO | None = None) -> None:
        self._clock = clock
        self._from = _LEVELS[level]
        self._style = style
        self._sink = sink or sys.stderr
        self._lines: list[str] = []

    def debug(self, message: str, **fields: object) -> None:
        """Tell what only a developer wants to know."""
        self._write("debug", message, fields)

    def info(self, message: str, **fields: object) -> None:
        """Tell what happened."""
        self._write("info", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Tell what a person should know of."""
        self._write("warning", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Tell what a person must look at."""
        self._write("error", message, fields)

    def flush(self) -> None:
        """Write what has gathered."""
        lines, self._lines = self._lines, []
        if lines:
            try:
                self._sink.write("".join(lines))
                self._sink.flush()
            except OSError:
                return  # nobody listens any more, and that is no reason to stop

    def _write(self, level: str, message: str, fields: dict[str, object]) -> None:
        if _LEVELS[level] < self._from:
            return
        now = self._clock.now()
        if self._style == "json":
            record = {"at": iso(now), "level": level, "message": message, **fields}
            line = orjson.dumps(record, default=str, option=orjson.OPT_APPEND_NEWLINE).decode()
        else:
            shown = datetime.fromtimestamp(now / 1e6).astimezone().strftime("%H:%M:%S")
            facts = " ".join(f"{name}={value}" for name, value in fields.items())
            line = f"{shown} {level:<7} {message:<14} {facts}\n"
        self._lines.append(line)
        if len(self._lines) == 1:
            self._flush_soon()

    def _flush_soon(self) -> None:
        try:
            asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:  # no loop runs: before it starts, or after it ended
            self.flush()


def trace(exc: BaseException) -> str:
    """Tell where an unexpected exception came from, without its text, which may quote somebody."""
    frames = traceback.extract_tb(exc.__traceback__)
    where = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
    return f"{type(exc).__name__} at {where}"


class Bridge(logging.Handler):
    """Brings what libraries log into our lines."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, without the arguments' values, which may be somebody's data."""
        # asyncio quotes whole exceptions below its first line.
        text = redact(str(record.msg).partition("\n")[0])
        cause = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        self._log.warning("library warned", logger=record.name, text=text, error=cause)
