"""Opens an outbox's file: the instance lock, the schema's version, the connections."""

import asyncio
import fcntl
import functools
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

from pipeline.errors import (
    OutboxBusy,
    OutboxError,
    OutboxMissing,
    OutboxTooNew,
    OutboxUnavailable,
)
from pipeline.outbox.connection import Connect, Connected, Connection
from pipeline.outbox.version import OLDEST_SQLITE, sqlite_version

#: One file of SQL per version, in order; a file is never changed once released.
MIGRATIONS: Sequence[str] = tuple(
    entry.read_text(encoding="utf-8")
    for entry in sorted(
        (resources.files("pipeline.outbox") / "schema").iterdir(), key=lambda entry: entry.name
    )
    if entry.name.endswith(".sql")
)

#: Two readers: one may be busy with a long listing while the stages go on.
_READERS = 2

_BUSY_TIMEOUT = 5.0

#: Bytes of a page. A webhook fills about a quarter of one, so a commit of many webhooks writes few.
_PAGE = 8192

#: Prepared statements that the writer keeps: intake alone has 64.
_STATEMENTS = 128

#: What the schema's first version writes into the header.
_APPLICATION = 1380930388

#: Types, names and statements of all in a schema but what SQLite makes by itself.
_Made: TypeAlias = frozenset[tuple[str, str, str | None]]


@contextmanager
def explained(path: Path, what: str = "cannot be used as an outbox") -> Iterator[None]:
    """Turn what goes wrong with a file into a sentence about it."""
    try:
        yield
    except (sqlite3.Error, OSError, RuntimeError, ValueError) as exc:
        # pathlib calls links that lead in a circle a RuntimeError, and a NUL a ValueError.
        reason = exc.strerror if isinstance(exc, OSError) else exc
        msg = f"{path}: {what}: {reason}"
        raise OutboxError(msg) from exc


@contextmanager
def instance_lock(path: Path) -> Iterator[None]:
    """Hold the outbox for this process; OutboxBusy when another one does.

    The kernel drops the lock with the process, so nothing is left behind by a crash.
    """
    with explained(path):
        if not path.parent.is_dir():
            msg = f"{path}: its folder does not exist"
            raise OutboxError(msg)
        if path.is_dir():
            msg = f"{path}: is a folder, not a file"
            raise OutboxError(msg)
        lock = lock_of(path)
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        msg = f"{lock}: cannot be opened: {exc.strerror}"
        raise OutboxError(msg) from exc
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(handle)
        msg = f"{path}: another pipeline is running on this outbox"
        raise OutboxBusy(msg) from exc
    except OSError as exc:
        os.close(handle)
        msg = f"{lock}: cannot be locked: {exc.strerror}"
        raise OutboxError(msg) from exc
    try:
        yield
    finally:
        os.close(handle)


def lock_of(path: Path) -> Path:
    """Name the lock's file: beside the file itself, also when the path is a link to it."""
    real = path.resolve()
    return real.with_name(real.name + ".lock")


def migrate(
    path: Path, migrations: Sequence[str] = MIGRATIONS, *, named: Path | None = None
) -> None:
    """Bring a file that nobody has open to the newest version; an older one is backed up first.

    Each step is one transaction. Raises OutboxTooNew for a file of a newer version of the
    pipeline, and OutboxError for one that is no outbox or has other tables than its version;
    neither is touched. What is said of the tables names the file `named`.
    """
    with explained(path):
        _make(path)
        connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None)
        with closing(connection):
            _bring_up(connection, path, migrations, named or path)


def _make(path: Path) -> None:
    """Make the file, unless it is there: SQLite, which could, would follow the umask."""
    if sqlite_version() < OLDEST_SQLITE:
        msg = f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed"
        raise OutboxError(msg)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _bring_up(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[str], named: Path
) -> None:
    _migrate(connection, path, migrations)
    require_schema(connection, named, migrations)
    # A copy that was put back may be open to all, and what SQLite lays beside it is as open.
    real = path.resolve()
    for end in ("", "-wal", "-shm"):
        # It may be another user's, shared with us on purpose.
        with suppress(FileNotFoundError, PermissionError):
            real.with_name(real.name + end).chmod(0o600)


def read_only(path: Path) -> str:
    """Give the URI by which SQLite opens a file for reading only; its name may be any bytes."""
    return f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode=ro"  # noqa: PTH100 - no I/O


def is_outbox(path: Path) -> bool:
    """Tell by its header whether a file is an outbox, of any version."""
    with path.open("rb") as file:
        header = file.read(72)
    return header[:16] == b"SQLite format 3\0" and header[68:] == _APPLICATION.to_bytes(4)


def require_schema(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS
) -> None:
    """Refuse with OutboxError a database that says it is of this version and is made otherwise.

    Indexes and views of one's own do no harm; a trigger writes where nobody expects it.
    """
    wanted, found = _made_by(tuple(migrations)), _made_of(connection)
    odd = {name for _, name, _ in wanted - found}
    odd |= {name for kind, name, _ in found - wanted if kind == "trigger"}
    if odd:
        names = ", ".join(sorted(odd)[:3])
        msg = (
            f"{path}: its tables are not those of this version (see {names}): it was made by an "
            "unreleased version, or changed by hand; restore a backup, or move it away"
        )
        raise OutboxError(msg)


@functools.cache
def _made_by(migrations: tuple[str, ...]) -> _Made:
    with closing(sqlite3.connect(":memory:")) as fresh:
        for script in migrations:
            fresh.executescript(script)
        return _made_of(fresh)


def _made_of(connection: sqlite3.Connection) -> _Made:
    sql = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite@_%' ESCAPE '@'"
    return frozenset(connection.execute(sql).fetchall())


def require_outbox(path: Path) -> None:
    """Refuse to go on where no daemon has made an outbox yet, with OutboxMissing."""
    with explained(path):
        is_there = path.exists()
    if not is_there:
        msg = f"there is no outbox at {path} yet"
        raise OutboxMissing(msg)


def require_current(path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Refuse a file that is not an outbox of this version, with OutboxError.

    Raises OutboxMissing where there is none, and OutboxTooNew for one of a newer version.
    """
    require_outbox(path)
    uri = read_only(path)
    with explained(path), closing(sqlite3.connect(uri, uri=True)) as connection:
        version = schema_version(connection, path, len(migrations))
        if version == len(migrations):
            require_schema(connection, path, migrations)
    if version < len(migrations):
        msg = (
            f"{path}: has schema version {version}, this pipeline needs {len(migrations)}: "
            "start the daemon once, which migrates it"
        )
        raise OutboxError(msg)


def schema_version(
    connection: sqlite3.Connection, path: Path, newest: int = len(MIGRATIONS)
) -> int:
    """Give the version of an outbox, 0 for an empty file; OutboxError says what is none."""
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if version > newest:
        msg = (
            f"{path}: has schema version {version}, this pipeline knows {newest}: "
            "run the newer pipeline, or restore an older backup"
        )
        raise OutboxTooNew(msg)
    if application != _APPLICATION and (version or tables):
        msg = f"{path}: is a database, but not an outbox"
        raise OutboxError(msg)
    return int(version)


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    version = schema_version(connection, path, len(migrations))
    if version == len(migrations):
        return
    if version:
        _back_up(connection, path.with_name(f"{path.name}.v{version}.bak"))
    if not version:
        connection.execute(f"PRAGMA page_size = {_PAGE}")
    connection.execute("PRAGMA journal_mode = WAL")
    for number, script in enumerate(migrations[version:], start=version + 1):
        # Its last statement may lack a semicolon, or be followed by a comment.
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}\n; PRAGMA user_version = {number}; COMMIT;"
        )


def _back_up(connection: sqlite3.Connection, target: Path) -> None:
    target.unlink(missing_ok=True)  # of an earlier try; its mode may be another
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    copy = sqlite3.connect(target)
    try:
        connection.backup(copy)
    finally:
        copy.close()


_PRAGMAS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
-- Deleted personal data is overwritten, not only unlinked, also in pages that become free.
PRAGMA secure_delete = ON;
-- `Writer` does it between two transactions; this bounds the file when one writes much.
PRAGMA wal_autocheckpoint = 8000;
PRAGMA cache_size = -8000;
PRAGMA journal_size_limit = 67108864;
-- What a statement of many rows would need to be undone: in a file, writing it costs more than the
-- rows themselves.
PRAGMA temp_store = MEMORY;
"""


@asynccontextmanager
async def writing(
    path: Path, connect: Connect = Connection, *, migrations: Sequence[str] = ()
) -> AsyncIterator[Connected]:
    """Open the one connection that writes: WAL, every commit flushed to the disk.

    With `migrations` the file is first made, or brought to the newest version; see `migrate`. A
    connection for that alone would read the whole schema once more.
    """
    async with AsyncExitStack() as stack:
        with explained(path):
            if migrations:
                _make(path)
            connection = await stack.enter_async_context(
                connect(
                    str(path),
                    timeout=_BUSY_TIMEOUT,
                    isolation_level=None,
                    cached_statements=_STATEMENTS,
                )
            )
            await connection.run(functools.partial(_set_up, path, migrations))
        yield connection


def _set_up(path: Path, migrations: Sequence[str], connection: sqlite3.Connection) -> None:
    if migrations:
        _bring_up(connection, path, migrations, path)
        # What a crash left there may be of people who have been erased. Whoever looks into the file
        # just now puts that off to a later checkpoint.
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute(f"PRAGMA busy_timeout = {round(_BUSY_TIMEOUT * 1000)}")
    connection.executescript(_PRAGMAS)


class Footprint:
    """The files that were opened, to see whether they are still those that their paths name.

    SQLite goes on with a file that was removed or replaced, and what it commits is lost. They are
    not opened here: closing a second handle on a file drops the locks that SQLite has on it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        real = path.resolve()
        self._paths = (path, real.with_name(real.name + "-wal"))
        self._found = self._look()

    def is_there(self) -> str | None:
        """Say in a sentence what has become of the files; None while all is as it was."""
        if self._look() == self._found:
            return None
        return (
            f"{self._path.name} was removed or replaced under the running daemon: put it back, or "
            "restart the daemon, which goes on with what is there then"
        )

    def _look(self) -> list[tuple[int, int] | None]:
        return [_identity(path) for path in self._paths]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Readers:
    """Read-only connections, lent one query at a time."""

    def __init__(self, connections: Sequence[Connected]) -> None:
        #: Why the last query failed; None when it did not.
        self.trouble: str | None = None
        self._idle: asyncio.LifoQueue[Connected] = asyncio.LifoQueue()
        for connection in connections:
            self._idle.put_nowait(connection)

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Run one query and fetch all of it, for an unfinished one would hold up the WAL.

        Raises OutboxUnavailable when the file cannot be read.
        """
        connection = await self._idle.get()
        try:
            found = list(await connection.execute_fetchall(sql, parameters))
        except (sqlite3.Error, ValueError) as exc:
            self.trouble = f"the outbox cannot be read: {exc}"
            raise OutboxUnavailable(self.trouble) from exc
        else:
            self.trouble = None
            return found
        finally:
            self._idle.put_nowait(connection)

    async def row(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Run one query and give its first row, or None."""
        found = await self.rows(sql, parameters)
        return found[0] if found else None


@asynccontextmanager
async def reading(
    path: Path, count: int = _READERS, connect: Connect = Connection
) -> AsyncIterator[Readers]:
    """Open read-only connections; they cannot create, write or checkpoint."""
    uri = read_only(path)
    async with AsyncExitStack() as stack:
        with explained(path):
            connections = [
                await stack.enter_async_context(
                    connect(uri, uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None)
                )
                for _ in range(count)
            ]
        yield Readers(connections)
