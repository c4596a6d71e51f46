"""Copies an outbox while the daemon writes it, and puts a copy back."""

import fcntl
import glob
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from pipeline.errors import OutboxBusy, OutboxError
from pipeline.outbox.file import (
    explained,
    instance_lock,
    is_outbox,
    lock_of,
    migrate,
    read_only,
    require_outbox,
    schema_version,
)
from pipeline.outbox.overview import DIFFERENCE
from pipeline.outbox.query import rows
from pipeline.outbox.restored import distrust

#: Pages copied between two looks at whether somebody pressed Ctrl-C.
_STEP = 4096

_TIMEOUT = 5.0

_UNWRITABLE = "cannot be written"

#: What SQLite would read into a database of that name.
_JOURNALS = ("-wal", "-journal")
_OWN = ("", "-shm", ".lock", ".tokens", *_JOURNALS)


class Contents(Struct, frozen=True, kw_only=True):
    """What a copy holds."""

    size: int
    events: int
    deliveries: int


def back_up(path: Path, target: Path, *, force: bool) -> Contents:
    """Write a checked copy of the outbox at `path`, as of one moment; a daemon may be writing it.

    Raises OutboxError with a sentence; `target` is then as it was.
    """
    require_outbox(path)
    with explained(target, _UNWRITABLE):
        real = target.resolve()
        _refuse_target(path, target, force=force)
    with _beside(real) as copy:
        contents = _checked_copy(path, copy)
        with explained(target, _UNWRITABLE):
            _flush(copy)
            copy.replace(real)
            _flush(real.parent)
    return contents


class Restoration:
    """A checked copy of a backup, and the outbox whose place it may take."""

    def __init__(self, copy: Path, path: Path, contents: Contents) -> None:
        self.contents = contents
        self._copy = copy
        self._path = path

    def put_back(self, *, now: int) -> Path | None:
        """Put the copy in the outbox's place, and tell where that one is kept, if there was one."""
        with explained(self._path, _UNWRITABLE):
            with closing(_connected(self._copy)) as connection:
                connection.execute("PRAGMA journal_mode = OFF")
                connection.execute("BEGIN")
                distrust(connection, now)
                connection.execute("COMMIT")
                connection.execute("PRAGMA journal_mode = DELETE")
            _hand_over(self._copy, self._path)
            _flush(self._copy)
            kept = _keep(self._path)
            self._copy.replace(self._path)
            _flush(self._path.parent)
        return kept


@contextmanager
def restoring(file: Path, path: Path) -> Iterator[Restoration]:
    """Hold the outbox at `path` and check the backup; nothing is changed before `put_back`.

    Raises OutboxBusy while a daemon runs, and OutboxError when `file` cannot serve.
    """
    with explained(path):
        real = path.resolve()
        is_there = real.exists()
    with explained(file, "cannot be read"):
        if not file.is_file():
            msg = f"{file}: is no file"
            raise OutboxError(msg)
        if is_there and file.samefile(real):
            msg = f"{file}: is the outbox itself"
            raise OutboxError(msg)
    with ExitStack() as held:
        try:
            held.enter_context(instance_lock(path))
        except OutboxBusy as exc:
            msg = f"{exc}; stop it first"
            raise OutboxBusy(msg) from exc
        copy = held.enter_context(_beside(real))
        contents = _checked_copy(file, copy)
        _require_sound(file, copy)
        yield Restoration(copy, real, contents)


def _refuse_target(path: Path, target: Path, *, force: bool) -> None:
    real, outbox = target.resolve(), path.resolve()
    journals = [one for end in _JOURNALS if (one := real.with_name(real.name + end)).exists()]
    reason = None
    if real in {outbox.with_name(outbox.name + end) for end in _OWN}:
        reason = "is the outbox itself, or belongs to it"
    elif real.exists() and real.samefile(outbox):
        reason = "is the outbox itself"
    elif real.exists() and not real.is_file():
        reason = "is no ordinary file"
    elif real.exists() and not force:
        reason = "exists already; --force replaces it"
    elif real.exists() and not is_outbox(real):
        reason = "is no outbox, and is not replaced by one"
    elif journals:
        reason = f"{journals[0].name} lies beside it, and would be taken for a part of the copy"
    elif not real.parent.is_dir():
        reason = "its folder does not exist"
    if reason:
        msg = f"{target}: {reason}"
        raise OutboxError(msg)


def _checked_copy(source: Path, copy: Path) -> Contents:
    """Copy a database, journal included, and read the copy through."""
    try:
        with closing(_connected(copy)) as made:
            # It is flushed once, when it is complete; before that it is worth nothing.
            made.execute("PRAGMA synchronous = OFF")
            made.execute("PRAGMA journal_mode = OFF")
            _copy(source, made)
            # One file, and readable where nothing can be written; the next start brings WAL back.
            made.execute("PRAGMA journal_mode = DELETE")
            version = schema_version(made, source)
            [[found]] = rows(made, "PRAGMA quick_check(1)")
            if found != "ok" or not version:
                what = "is empty, and no outbox" if not version else f"is damaged: {found}"
                msg = f"{source}: {what}"
                raise OutboxError(msg)
            [[events, deliveries]] = rows(
                made, "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM delivery)"
            )
    except sqlite3.Error as exc:
        raise OutboxError(f"{_subject(source, copy, exc)}: {exc}") from exc
    return Contents(size=copy.stat().st_size, events=events, deliveries=deliveries)


def _subject(source: Path, copy: Path, exc: sqlite3.Error) -> str:
    """Tell what is in the way: what is copied, or the disk that it is copied to."""
    if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return f"{copy.parent.parent}: has no room for a copy of {source.name}"
    return f"{source}: cannot be copied"


def _require_sound(file: Path, copy: Path) -> None:
    """Refuse a copy that a daemon could not go on with; it is migrated to see that."""
    with explained(file, "cannot be put back"):
        migrate(copy, named=file)
        with closing(_connected(copy)) as connection:
            [[off]] = rows(connection, DIFFERENCE)
    if off:
        msg = f"{file}: its counters differ from its rows by {off}: it was changed by hand"
        raise OutboxError(msg)


def _copy(source: Path, made: sqlite3.Connection) -> None:
    """Copy within one read transaction, which holds up no writer; the WAL grows meanwhile.

    Without it every commit would make the copy begin anew, and it would never end. VACUUM INTO
    needs such a transaction as well, for more than twice as long.
    """
    uri = read_only(source.resolve())
    with closing(sqlite3.connect(uri, uri=True, timeout=_TIMEOUT, isolation_level=None)) as read:
        read.execute("BEGIN")
        rows(read, "SELECT count(*) FROM sqlite_schema")
        read.backup(made, pages=_STEP, progress=_hear)


def _hear(_status: int, _remaining: int, _total: int) -> None:
    """Let the interpreter run for a moment, which is when it hears of Ctrl-C."""


def _hand_over(copy: Path, path: Path) -> None:
    """Let the copy belong to whom the daemon runs as, should an administrator put it back."""
    if os.geteuid() == 0:
        owner = (path if path.exists() else path.parent).stat()
        for one in (copy, lock_of(path)):
            os.chown(one, owner.st_uid, owner.st_gid)


def _keep(path: Path) -> Path | None:
    """Move the outbox aside, one file with all that was written, under a name that is free.

    The path itself stays until it is replaced, so that no daemon finds nothing there and begins
    anew. A journal that SQLite leaves beside a damaged one goes along, for it would be read into
    whatever has its name.
    """
    kept = next(one for one in _names(path) if not one.exists())
    if path.exists():
        _fold(path)
    for end in _JOURNALS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(kept.with_name(kept.name + end))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    if not path.exists():
        return None
    try:
        kept.hardlink_to(path)
    except OSError:  # a file system without such links
        path.rename(kept)
    return kept


def _names(path: Path) -> Iterator[Path]:
    name = f"{path.name}.before-restore"
    yield path.with_name(name)
    yield from (path.with_name(f"{name}-{number}") for number in count(2))


def _fold(path: Path) -> None:
    """Write the WAL into its database and remove it, which SQLite does only for the sole user."""
    try:
        with closing(_connected(path)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as exc:
        if getattr(exc, "sqlite_errorcode", None) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            msg = f"{path}: another program has it open; close that first"
            raise OutboxBusy(msg) from exc


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_TIMEOUT, isolation_level=None)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Lend a file for the time being in the target's folder, so that it can take its place."""
    with ExitStack() as held:
        with explained(target, _UNWRITABLE):
            prefix = f".{target.name}."
            _clear(target.parent, prefix)
            temporary = TemporaryDirectory(dir=target.parent, prefix=prefix)
            folder = Path(held.enter_context(temporary))
            held.enter_context(_held(folder))
            copy = folder / target.name
            copy.touch(mode=0o600)
        yield copy


def _clear(parent: Path, prefix: str) -> None:
    """Remove what a copy left that was killed: it holds guests' details."""
    for folder in parent.glob(f"{glob.escape(prefix)}*"):
        if re.fullmatch(r"[a-z0-9_]{8}", folder.name.removeprefix(prefix)) and folder.is_dir():
            with suppress(OSError), _held(folder):
                shutil.rmtree(folder)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder while a copy is made in it; OSError when another process does."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
