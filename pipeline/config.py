"""The configuration: read from `config.toml`, checked whole, refused with every error at once.

msgspec reports the first error only, so the tables are walked field by field and each value is
converted by itself.
"""

import functools
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct, structs

from pipeline.clock import SECOND, span
from pipeline.errors import ConfigError
from pipeline.guest import FRESH
from pipeline.plugins import DESTINATIONS, SOURCES, DestinationSettings, SourceSettings
from pipeline.settings import Address, Duration, Hook, Secret, decoder

_T = TypeVar("_T", bound=Struct)

#: Webhooks are JSON of a few kilobytes; below this a booking with many tickets would not fit.
_SMALLEST_BODY = 16_384


class Server(Struct, frozen=True, kw_only=True):
    """The two listeners."""

    listen: Address = Address(host="127.0.0.1", port=8080)
    admin: Address = Address(host="127.0.0.1", port=8081)
    admin_token: Secret | None = None
    admin_hosts: tuple[str, ...] = ()
    #: Bytes kept of one webhook.
    max_body: int = 1_048_576
    shutdown_grace: Duration = Duration(20)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Refuse an admin listener in the other's place, or reached without a token."""
        if self.max_body < _SMALLEST_BODY:
            yield "max_body", f"must be at least {_SMALLEST_BODY} bytes"
        if self.admin_token is None and not _is_local(self.admin):
            yield "admin_token", f"required, because admin = {self.admin} is not a loopback address"
        if self.listen.is_same(self.admin):
            yield "admin", "must differ from listen"


class Outbox(Struct, frozen=True, kw_only=True):
    """The file that everything accepted is in."""

    path: Path = Path("outbox.db")
    keep: Duration = Duration(30 * 86_400)
    max_waiting: int = 1_000_000

    def problems(self) -> Iterator[tuple[str, str]]:
        """Refuse limits that stop all work."""
        if self.max_waiting < 1:
            yield "max_waiting", "must be at least 1"


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How long to wait after a failure, and when to give up."""

    first: Duration = Duration(2)
    max: Duration = Duration(3600)
    give_up_after: Duration = Duration(4 * 86_400)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Refuse a longest wait below the first."""
        if self.max < self.first:
            yield "max", "must not be below first"


class Log(Struct, frozen=True, kw_only=True):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Alerts(Struct, frozen=True, kw_only=True):
    """Whom to tell when something needs a person."""

    webhook: Hook
    after_parked: int = 1

    def problems(self) -> Iterator[tuple[str, str]]:
        """Refuse to be alarmed by nothing."""
        if self.after_parked < 1:
            yield "after_parked", "must be at least 1"


class Config(Struct, frozen=True, kw_only=True):
    """The whole configuration; sources and destinations by their names."""

    server: Server = Server()
    outbox: Outbox = Outbox()
    retry: RetryPolicy = RetryPolicy()
    log: Log = Log()
    alerts: Alerts | None = None
    sources: Mapping[str, SourceSettings]
    destinations: Mapping[str, DestinationSettings]
    #: Paths that are given in the file and have no effect yet. Without a name, so no key of it.
    idle: tuple[str, ...] = msgspec.field(default=(), name="")

    def warnings(self) -> Iterator[str]:
        """Tell what works and is still not as it should be, as "path: sentence"."""
        for path, value in _leaves(self):
            if isinstance(value, Secret) and value.inline:
                yield f'{path}: in plain text: better {{ env = "NAME" }}'
        if self.alerts:
            yield "alerts: not used by this version: nobody will be told"
        for path in self.idle:
            yield f"{path}: has no effect in this version"
        for name, destination in self.destinations.items():
            spacing = destination.rate_limit.per / destination.rate_limit.requests
            if spacing * SECOND >= FRESH:
                yield (
                    f"destinations.{name}.rate_limit: a request every {span(spacing)} is so few "
                    "that what guests say there meanwhile may be overwritten"
                )
        fed = {source for d in self.destinations.values() for source in d.source_names()}
        for name in sorted(self.sources.keys() - fed):
            yield f"sources.{name}: no destination takes it; its events will be ignored"


def load(path: Path) -> Config:
    """Read and check the file at `path`; ConfigError holds every problem found."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError([f"{path}: there is no such file; --config names another"]) from None
    except OSError as exc:
        raise ConfigError([f"{path}: cannot be read: {exc.strerror}"]) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path}: is not UTF-8 text (byte {exc.start})"]) from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError([f"{path}: is not TOML: {exc}"]) from exc
    reader = _Reader(path.parent)
    config = reader.struct(Config, table, "")
    reader.check_mappings(table)
    reader.check_keys(table)
    if config is None or reader.problems:
        raise ConfigError([f"{path}: {problem}" for problem in reader.problems])
    return structs.replace(config, idle=tuple(reader.idle))


class _Reader:
    """Walks the tables and keeps every problem."""

    def __init__(self, folder: Path) -> None:
        self.problems: list[str] = []
        #: What is given and has no effect.
        self.idle: list[str] = []
        self._decode = decoder(folder)
        self._mapped: list[tuple[str, str]] = []

    def struct(
        self, wanted: type[_T], table: object, path: str, default: object = None
    ) -> _T | None:
        """Build one section; None when what it needs is missing or wrong.

        What is not given is taken from `default`, the section as it is when nothing is given, else
        from the type. A wrong value is noted and replaced by the default, or by None if there is
        none, so that the checks of the section as a whole still run and report.
        """
        if not isinstance(table, dict):
            self.note(path, "expected a table")
            return None
        fields = {one.encode_name: one for one in _fields(wanted) if one.encode_name}
        for key in sorted(table.keys() - fields.keys()):
            known = ", ".join(sorted(fields))
            self.note(_join(path, key), f"there is no such key; known here: {known}")
        values: dict[str, object] = {}
        lacking: set[str] = set()
        for key, field in fields.items():
            value = self._field(field, table, _join(path, key), default)
            if value is _USE_DEFAULT and field.required:
                value = getattr(default, field.name, None)
                lacking |= {key} if value is None else set()
            if value is not _USE_DEFAULT:
                values[field.name] = value
        made = wanted(**values)
        for below, problem in made.problems() if hasattr(made, "problems") else ():
            if below not in lacking:
                self.note(_join(path, below), problem)
        unused = made.unused() if hasattr(made, "unused") else ()
        self.idle += [_join(path, key) for key in unused if key in table]
        return None if lacking else made

    def check_mappings(self, table: Mapping[str, Any]) -> None:
        """Refuse mappings to sources that are not there, whatever else is wrong."""
        sources = table.get("sources")
        for path, source in self._mapped:
            known = list(sources) if isinstance(sources, dict) else []
            if source not in known:
                meant = get_close_matches(source, known, n=1)
                advice = f"did you mean {meant[0]}?" if meant else f"add [sources.{source}]"
                self.note(path, f"there is no source {source}: {advice}")

    def check_keys(self, table: Mapping[str, Any]) -> None:
        """Refuse two destinations on one API key: each would spend the whole allowance."""
        users: dict[tuple[object, object], str] = {}
        destinations = table.get("destinations")
        for name, one in destinations.items() if isinstance(destinations, dict) else ():
            if isinstance(one, dict) and isinstance(one.get("client_id"), str):
                first = users.setdefault((one.get("base_url"), one["client_id"]), name)
                if first != name:
                    problem = f"destinations.{first} has the same, and with it the same allowance"
                    self.note(f"destinations.{name}.client_id", problem)

    def note(self, path: str, problem: str) -> None:
        """Keep a problem."""
        self.problems.append(f"{path}: {problem}" if path else problem)

    def _field(
        self, field: structs.FieldInfo, table: dict[str, object], path: str, default: object
    ) -> object:
        if field.encode_name in table:
            return self._value(field.type, table[field.encode_name], path, field.default)
        if field.required and default is not None:
            return getattr(default, field.name)
        if field.required:
            self.note(path, "missing")
        elif field.type is Path:
            return self._decode(Path, str(field.default))
        elif isinstance(field.default, Struct) and not hasattr(field.type, "parse"):
            return self._value(field.type, {}, path, field.default)
        return _USE_DEFAULT

    def _value(self, wanted: Any, raw: object, path: str, default: object = None) -> object:
        for settings, known in _PLUGINS:
            if wanted == Mapping[str, settings]:  # type: ignore[valid-type]
                return self._plugins(known, raw, path)
        # A union with None is for "not given"; here it is given.
        inner = next(w for w in _alternatives(wanted) if w is not types.NoneType)
        if typing.get_origin(inner) is Mapping:
            return self._mapping(typing.get_args(inner)[1], raw, path)
        if isinstance(inner, type) and issubclass(inner, Struct) and not hasattr(inner, "parse"):
            given = default if isinstance(default, inner) else None
            made = self.struct(inner, raw, path, given)
            return _USE_DEFAULT if made is None else made
        try:
            if hasattr(inner, "parse"):
                return self._decode(inner, raw)
            return msgspec.convert(raw, inner, dec_hook=self._decode)
        except (msgspec.ValidationError, ValueError) as exc:
            self.note(path, _sentence(exc, _words(inner)))
            return _USE_DEFAULT

    def _mapping(self, wanted: Any, raw: object, path: str) -> object:
        if not isinstance(raw, dict):
            self.note(path, "expected a table")
            return _USE_DEFAULT
        return {key: self._value(wanted, value, _join(path, key)) for key, value in raw.items()}

    def _plugins(self, known: Mapping[str, type[Any]], raw: object, path: str) -> object:
        if not isinstance(raw, dict) or not raw:
            self.note(path, f"expected at least one table [{path}.NAME]")
            return _USE_DEFAULT
        made = {}
        for name, table in raw.items():
            where = _join(path, name)
            kind = table.get("type") if isinstance(table, dict) else None
            if not _is_name(name):
                self.note(where, "a name is made of lower-case letters, digits, - and _")
            elif not isinstance(kind, str) or kind not in known:
                self.note(_join(where, "type"), f"expected one of: {', '.join(known)}")
            else:
                made[name] = self.struct(known[kind], table, where)
                if known is DESTINATIONS:
                    self._map(table, where, known[kind].sources_key)
        return made

    def _map(self, table: Mapping[str, object], path: str, key: str) -> None:
        """Keep which sources a destination names, as the keys of a table or in a list."""
        named = table.get(key)
        for source in named if isinstance(named, dict | list) else ():
            if isinstance(source, str):
                self._mapped.append((_join(_join(path, key), source), source))


_USE_DEFAULT = object()

_PLUGINS: tuple[tuple[Any, Mapping[str, type[Any]]], ...] = (
    (SourceSettings, SOURCES),
    (DestinationSettings, DESTINATIONS),
)


@functools.cache
def _fields(wanted: type[Struct]) -> Sequence[structs.FieldInfo]:
    """Give the fields of a type, whose annotations msgspec would evaluate anew each time."""
    return structs.fields(wanted)


def _alternatives(wanted: Any) -> tuple[Any, ...]:
    return typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)


def _words(wanted: Any) -> tuple[str, ...]:
    """Give the words that a value, or each value of a list, is to be one of; none if it is free."""
    if typing.get_origin(wanted) is Literal:
        return typing.get_args(wanted)
    return tuple(word for inner in typing.get_args(wanted) for word in _words(inner))


def _sentence(exc: Exception, words: tuple[str, ...]) -> str:
    """Drop msgspec's own path from an error, which the caller has, and name the good words."""
    text = str(exc).removesuffix(" - at `$`")
    text = text.replace(" - at `$", " at `").replace("`", "")
    if text.startswith("Invalid enum value "):
        found = text.removeprefix("Invalid enum value ")
        return f"expected one of: {', '.join(words)} (found {found})"
    return text[:1].lower() + text[1:]


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_name(name: str) -> bool:
    return (
        bool(name)
        and name.isascii()
        and name.replace("-", "").replace("_", "").isalnum()
        and (name == name.lower())
    )


def _is_local(address: Address) -> bool:
    if address.socket or address.host == "localhost":
        return True
    try:
        return ip_address(address.host).is_loopback
    except ValueError:
        return False


def _leaves(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(node, Struct):
        for field in _fields(type(node)):
            yield from _leaves(getattr(node, field.name), _join(path, field.encode_name))
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, _join(path, str(key)))
    elif isinstance(node, tuple):
        for value in node:
            yield from _leaves(value, path)
    else:
        yield path, node
