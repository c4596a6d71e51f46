"""The types that configuration is made of, for the core and for the plug-ins.

Each type refuses what it does not understand with a ValueError whose text says what would do;
`config.py` collects these with their paths.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Protocol, Self, cast
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta, Struct, convert

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_PORTS = 65_535
_PORT = re.compile(r"[0-9]{1,5}")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
#: A hundred years; sums of times and durations are to stay in the calendar.
_LONGEST_DURATION = 36_525 * 86_400.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

#: A text that is not empty.
Text = Annotated[str, Meta(min_length=1)]


class Duration(float):
    """A length of time in seconds, written as "90s", "15m", "24h" or "30d"."""

    @classmethod
    def parse(cls, raw: object, _folder: Path | None = None) -> Self:
        """Read the text form; ValueError for anything else, and for nothing at all ("0s")."""
        found = _DURATION.fullmatch(raw.strip()) if isinstance(raw, str) else None
        seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
        if not 0.0 < seconds <= _LONGEST_DURATION:
            msg = f'expected a duration such as "90s", "15m", "24h" or "30d", not {shown(raw)}'
            raise ValueError(msg)
        return cls(seconds)


class Url(str):
    """An http(s) address without a trailing slash, a query or credentials."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: object, _folder: Path | None = None) -> Self:
        """Check the form; ValueError when it is not an absolute http(s) URL."""
        parts = _address(raw)
        if parts is None or parts.query or not isinstance(raw, str):
            # What has an @ may hold a password.
            given = "one with credentials" if "@" in str(raw) else shown(raw)
            msg = f'expected an address such as "https://api.example.com", not {given}'
            raise ValueError(msg)
        return cls(raw.rstrip("/"))


class Hook(str):
    """An http(s) address to send to as it is; chat tools put their keys into its path or query."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: object, _folder: Path | None = None) -> Self:
        """Check the form; ValueError, which does not quote it, when nothing can be sent there."""
        if _address(raw) is None or not isinstance(raw, str):
            msg = 'expected an address such as "https://hooks.example.com/key"'
            raise ValueError(msg)
        return cls(raw)


class Address(Struct, frozen=True, kw_only=True):
    """Where a listener listens: a TCP host and port, or a Unix socket's path."""

    host: str = ""
    port: int = 0
    socket: Path | None = None

    @classmethod
    def parse(cls, raw: object, folder: Path) -> Self:
        """Read "HOST:PORT" or "unix:PATH" (relative to `folder`)."""
        if isinstance(raw, str) and raw.startswith("unix:") and raw != "unix:":
            return cls(socket=folder / raw.removeprefix("unix:"))
        host, colon, port = raw.rpartition(":") if isinstance(raw, str) else ("", "", "")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not _is_host(host) or not _PORT.fullmatch(port) or int(port) > _PORTS:
            msg = f'expected "HOST:PORT" or "unix:PATH", not {shown(raw)}'
            raise ValueError(msg)
        return cls(host=host, port=int(port))

    def is_same(self, other: Self) -> bool:
        """Tell whether only one can listen there; port 0 is a free one for each."""
        if self.socket or other.socket:
            mine, theirs = (one.socket and os.path.realpath(one.socket) for one in (self, other))
            return mine == theirs
        return self.port == other.port != 0 and _host(self.host) == _host(other.host)

    def __str__(self) -> str:
        """Write it as the configuration does."""
        if self.socket:
            return f"unix:{self.socket}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Secret:
    """A secret value; its text forms hide it, `reveal` gives it."""

    __slots__ = ("_value", "inline")

    def __init__(self, value: str, *, inline: bool = False) -> None:
        self._value = value
        #: It stands in the configuration itself, which `check` warns of.
        self.inline = inline

    def __repr__(self) -> str:
        """Hide the value."""
        return "Secret(…)"

    def reveal(self) -> str:
        """Give the value, for the one place that sends or compares it."""
        return self._value

    @classmethod
    def parse(cls, raw: object, folder: Path) -> Self:
        """Read a plain string, or fetch it from where `env`, `file` or `credential` point."""
        if isinstance(raw, str):
            value, inline = raw, True
        elif isinstance(raw, dict) and len(raw) == 1 and isinstance(next(iter(raw.values())), str):
            [(where, name)] = raw.items()
            value, inline = _fetch(where, name, folder), False
        else:
            msg = 'expected { env = "NAME" }, { file = "PATH" } or { credential = "NAME" }'
            raise ValueError(msg)
        if not value:
            msg = "the secret is empty"
            raise ValueError(msg)
        if not value.isprintable() or not value.isascii():
            msg = "the secret has characters that no HTTP header can carry"
            raise ValueError(msg)
        return cls(value, inline=inline)


class Keys(tuple[Secret, ...]):
    """The keys that a webhook may carry: one, or two while rotating."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: object, folder: Path) -> Self:
        """Read one secret or a list of one or two."""
        listed = raw if isinstance(raw, list) else [raw]
        if not 1 <= len(listed) <= 2:  # noqa: PLR2004 - the old key and the new one
            msg = "expected one key, or a list of two while rotating"
            raise ValueError(msg)
        return cls(Secret.parse(one, folder) for one in listed)


#: The allowance is kept in memory, a number for each request of the window.
_MOST_REQUESTS = 100_000
_DAY = 86_400.0


class RateLimit(Struct, frozen=True, kw_only=True):
    """At most `requests` in any `per` seconds; the last `reserve` are for what is urgent."""

    requests: int
    per: Duration
    #: None: a fifth of `requests`, at most 20.
    reserve: int | None = None

    @property
    def reserved(self) -> int:
        """How many of the requests are for what is urgent."""
        return min(self.requests // 5, 20) if self.reserve is None else self.reserve

    def problems(self) -> Iterator[tuple[str, str]]:
        """Tell what does not fit together, as (path below here, sentence)."""
        if not 1 <= self.requests <= _MOST_REQUESTS:
            yield "requests", f"must be from 1 to {_MOST_REQUESTS}"
        if self.per > _DAY:
            yield "per", "must not be above 24h"
        if not 0 <= self.reserved < self.requests:
            yield "reserve", f"must be at least 0 and below requests ({self.requests})"


class Parsed(Protocol):
    """A type of value that reads itself from what TOML gives."""

    @classmethod
    def parse(cls, raw: object, folder: Path) -> Self:
        """Read `raw`; ValueError says what would do. Paths are relative to `folder`."""


def decoder(folder: Path) -> Callable[[type, object], object]:
    """Make msgspec's hook for types with `parse`, and for paths, relative to `folder`."""

    def decode(wanted: type, raw: object) -> object:
        if issubclass(wanted, Path):
            return folder / convert(raw, Text)
        if hasattr(wanted, "parse"):
            return cast("type[Parsed]", wanted).parse(raw, folder)
        raise NotImplementedError(wanted)

    return decode


def _address(raw: object) -> SplitResult | None:
    """Split an absolute http(s) URL without credentials or fragment; None for anything else."""
    if not isinstance(raw, str) or not raw.isprintable() or " " in raw:
        return None
    try:
        parts = urlsplit(raw)
        port = parts.port
    except ValueError:
        return None
    good = parts.scheme in {"http", "https"} and parts.hostname and port != 0
    return parts if good and "@" not in parts.netloc and not parts.fragment else None


def _fetch(where: str, name: str, folder: Path) -> str:
    match where:
        case "env":
            if name not in os.environ:
                msg = f"the environment variable {name} is not set"
                raise ValueError(msg)
            return os.environ[name]
        case "file":
            return _read_secret(folder / name)
        case "credential":
            directory = os.environ.get("CREDENTIALS_DIRECTORY")
            if not directory:
                msg = "$CREDENTIALS_DIRECTORY is not set: use LoadCredential= in the systemd unit"
                raise ValueError(msg)
            return _read_secret(Path(directory) / name)
        case _:
            msg = f"expected env, file or credential, not {where}"
            raise ValueError(msg)


def _read_secret(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            msg = f"{path} is not a file"
            raise ValueError(msg)
        return path.read_text().strip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not text"
        msg = f"{path} cannot be read: {reason}"
        raise ValueError(msg) from exc


def _is_host(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return all(_LABEL.fullmatch(label) for label in text.split("."))


def _host(text: str) -> str:
    """Give one form of what can be written in several: 127.0.0.1 is localhost, ::1 is 0::1."""
    try:
        return str(ip_address("127.0.0.1" if text.lower() == "localhost" else text))
    except ValueError:
        return text.lower()


def shown(raw: object) -> str:
    """Quote a value for an error message, cut to what fits a terminal line."""
    text = repr(raw)
    return text if len(text) <= 60 else text[:57] + "…"  # noqa: PLR2004 - fits a terminal line
