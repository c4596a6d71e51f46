"""A copy of the outbox, and the file work of putting one back."""

import asyncio
import fcntl
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.errors import OutboxBusy, OutboxError, OutboxTooNew
from pipeline.model import DeliveryState
from pipeline.outbox.backup import back_up, restoring
from pipeline.outbox.file import MIGRATIONS, migrate
from pipeline.outbox.sqlite import SqliteOutbox, open_outbox
from tests.outbox.support import (
    BOOKING,
    GUEST,
    T0,
    TAG,
    arrival,
    change,
    conserved,
    intent,
    look,
    settled,
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Where backups go."""
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "copy.db"


def _put_back(file: Path, path: Path) -> Path | None:
    with restoring(file, path) as ready:
        return ready.put_back(now=T0 * 2)


async def test_a_copy_is_of_one_moment_while_webhooks_are_stored(
    outbox: SqliteOutbox, path: Path, copy: Path
) -> None:
    """Half of a transaction would be an outbox that never was."""
    for number in range(300):
        await outbox.intake.accept(arrival(f"before {number}"))
    copying = asyncio.create_task(asyncio.to_thread(back_up, path, copy, force=False))
    stored = 300
    while not copying.done():
        await outbox.intake.accept(arrival(f"during {stored}"))
        stored += 1
    made = await copying
    assert made.size == copy.stat().st_size
    assert 300 <= made.events <= stored
    assert look(copy, "SELECT count(*), max(id) FROM event") == [(made.events, made.events)]
    conserved(copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [one.name for one in copy.parent.iterdir()] == ["copy.db"], "one file, nothing beside it"
    assert look(path, "SELECT count(*) FROM event") == [(stored,)]


async def test_an_existing_file_is_replaced_only_when_told_so(
    outbox: SqliteOutbox, path: Path, copy: Path
) -> None:
    """The backup of yesterday may be the one that is needed."""
    back_up(path, copy, force=False)
    yesterday = copy.read_bytes()
    await outbox.intake.accept(arrival("key"))
    with pytest.raises(OutboxError, match="exists already; --force replaces it"):
        back_up(path, copy, force=False)
    assert copy.read_bytes() == yesterday
    assert back_up(path, copy, force=True).events == 1
    assert look(copy, "SELECT key FROM event") == [("key",)]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("outbox.db", "is the outbox itself"),
        ("outbox.db-wal", "belongs to it"),
        ("outbox.db.tokens", "belongs to it"),
        ("link.db", "is the outbox itself"),
        ("hard.db", "is the outbox itself"),
        ("backups", "is no ordinary file"),
        ("nowhere/copy.db", "its folder does not exist"),
        ("stale.db", "stale.db-wal lies beside it"),
        ("notes.txt", "is no outbox, and is not replaced by one"),
        ("circle.db", "circle.db: cannot be written: Symlink loop"),
        ("x" * 300, "File name too long"),
    ],
)
async def test_a_target_that_would_do_harm_is_refused_whatever_is_forced(
    outbox: SqliteOutbox, path: Path, copy: Path, target: str, said: str
) -> None:
    """Of all files the one that must not be replaced is the outbox."""
    await outbox.intake.accept(arrival("key"))
    path.with_name("link.db").symlink_to(path)
    path.with_name("hard.db").hardlink_to(path)
    path.with_name("stale.db-wal").touch()
    path.with_name("notes.txt").write_text("of somebody")
    path.with_name("circle.db").symlink_to(path.with_name("circle.db"))
    with pytest.raises(OutboxError, match=said):
        back_up(path, path.parent / target, force=True)
    assert look(path, "SELECT key FROM event") == [("key",)]


def test_a_damaged_outbox_gives_no_copy(path: Path, copy: Path) -> None:
    """Better known today than on the day it is needed."""
    migrate(path)
    _damage(path)
    with pytest.raises(OutboxError, match=r"outbox\.db: (is damaged|cannot be copied)"):
        back_up(path, copy, force=False)
    assert list(copy.parent.iterdir()) == []
    with pytest.raises(OutboxError, match="there is no outbox"):
        back_up(path.with_name("none.db"), copy, force=False)


def _damage(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:-8192] + b"\xff" * 8192)


def _of_another_program(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")


def _without_an_index(file: Path) -> None:
    change(file, "DROP INDEX event_due")


def _counted_wrongly(file: Path) -> None:
    change(file, "UPDATE counter SET n = n + 5")


def _newer(file: Path) -> None:
    migrate(file, [*MIGRATIONS, "CREATE TABLE later (x);"])


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (lambda file: file.write_bytes(b""), OutboxError, "is empty, and no outbox"),
        (lambda file: file.write_text("x" * 9000), OutboxError, "file is not a database"),
        (_of_another_program, OutboxError, "is a database, but not an outbox"),
        (_newer, OutboxTooNew, "run the newer pipeline"),
        (_damage, OutboxError, "is damaged|cannot be copied"),
        (_without_an_index, OutboxError, r"are not those of this version \(see event_due\)"),
        (_counted_wrongly, OutboxError, "its counters differ from its rows by 5"),
        (Path.unlink, OutboxError, "is no file"),
    ],
    ids="empty text other-database newer damaged changed counters missing".split(),
)
async def test_what_cannot_serve_is_refused_and_nothing_is_changed(
    path: Path, copy: Path, spoil: Callable[[Path], object], error: type[OutboxError], said: str
) -> None:
    """The present outbox is worth more than a file that is none."""
    async with open_outbox(path) as outbox:
        await outbox.intake.accept(arrival("present"))
    back_up(path, copy, force=False)
    spoil(copy)
    before, files = path.read_bytes(), sorted(path.parent.iterdir())
    with pytest.raises(error, match=said) as caught, restoring(copy, path):
        pass
    assert str(copy) in str(caught.value)
    assert path.read_bytes() == before
    assert sorted(path.parent.iterdir()) == files


async def test_a_running_daemon_and_an_open_shell_are_refused(path: Path, copy: Path) -> None:
    """Whoever has the old file open would go on writing to it."""
    async with open_outbox(path) as outbox:
        await outbox.intake.accept(arrival("key"))
        back_up(path, copy, force=False)
        with pytest.raises(OutboxBusy, match="is running on this outbox; stop it first"):
            _put_back(copy, path)
    with closing(sqlite3.connect(path)) as shell:
        shell.execute("SELECT count(*) FROM event").fetchall()
        with pytest.raises(OutboxBusy, match="another program has it open; close that first"):
            _put_back(copy, path)
    with pytest.raises(OutboxError, match="is the outbox itself"):
        _put_back(path, path)
    assert look(path, "SELECT key FROM event") == [("key",)]


async def test_what_was_there_is_kept_each_time_with_all_that_was_committed(
    path: Path, copy: Path
) -> None:
    """A restore may have been the mistake."""
    async with open_outbox(path) as outbox:
        await outbox.intake.accept(arrival("1"))
        back_up(path, copy, force=False)
        await outbox.intake.accept(arrival("2"))
        files = {f: (path.parent / f).read_bytes() for f in ("outbox.db", "outbox.db-wal")}
    for name, whole in files.items():  # as a crash leaves it
        (path.parent / name).write_bytes(whole)
    kept = _put_back(copy, path)
    assert kept == path.with_name("outbox.db.before-restore")
    assert look(kept, "SELECT count(*) FROM event") == [(2,)]
    assert look(path, "SELECT count(*) FROM event") == [(1,)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert _put_back(kept, path) == path.with_name("outbox.db.before-restore-2")
    assert look(path, "SELECT count(*) FROM event") == [(2,)]
    async with open_outbox(path) as outbox:
        assert (await outbox.intake.accept(arrival("2"))).duplicate
    assert not list(path.parent.glob("*before-restore*-*l"))


async def test_a_damaged_outbox_is_kept_as_it_is_and_its_place_taken(
    path: Path, copy: Path
) -> None:
    """That is what backups are for; its old WAL must not be read into the copy."""
    async with open_outbox(path) as outbox:
        await outbox.intake.accept(arrival("1"))
        back_up(path, copy, force=False)
    path.write_bytes(b"nonsense" * 2000)
    path.with_name("outbox.db-wal").write_bytes(b"old")
    kept = _put_back(copy, path)
    assert kept is not None
    assert kept.read_bytes().startswith(b"nonsense")
    assert look(path, "SELECT key FROM event") == [("1",)]
    assert not path.with_name("outbox.db-wal").exists()


async def test_without_an_outbox_nothing_is_kept(path: Path, copy: Path) -> None:
    """On a new machine there is none yet."""
    migrate(path)
    back_up(path, copy, force=False)
    path.unlink()
    assert _put_back(copy, path) is None
    assert look(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]


async def test_what_waits_is_decided_anew_and_no_guest_is_known(path: Path, copy: Path) -> None:
    """A guest fetched before the backup is not fresh, and deliver itself fetches none."""
    async with open_outbox(path) as outbox:
        await settled(outbox, "1", GUEST, BOOKING, TAG)
        back_up(path, copy, force=False)
    _put_back(copy, path)
    assert look(path, "SELECT state, attempts FROM event") == [("waiting", 0)]
    assert look(path, "SELECT DISTINCT state, reason, waits_for FROM delivery") == [
        ("skipped", "restored: decided anew", None)
    ]
    assert look(path, "SELECT count(*) FROM subject WHERE kind = 'guest' AND doc NOT NULL") == [
        (0,)
    ]
    conserved(path)


async def test_a_guest_that_serves_a_newer_event_is_made_anew_by_that_one(
    path: Path, copy: Path
) -> None:
    """An older event of a booking decides nothing any more, so its guest would be forgotten."""
    async with open_outbox(path) as outbox:
        await settled(outbox, "1", GUEST, BOOKING)
        told = intent(state=DeliveryState.SKIPPED, reason="already told")
        await settled(outbox, "2", told, GUEST, at=T0 + 1)
        await settled(outbox, "3", told, booking="other", at=T0 + 2)
        back_up(path, copy, force=False)
    _put_back(copy, path)
    assert look(path, "SELECT key, state FROM event ORDER BY id") == [
        ("1", "waiting"),
        ("2", "waiting"),
        ("3", "done"),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_the_copy_belongs_to_whom_the_outbox_belonged(path: Path, copy: Path) -> None:
    """What root puts back, the daemon's own user must be able to open."""
    migrate(path)
    back_up(path, copy, force=False)
    os.chown(path, 12345, 12345)
    _put_back(copy, path)
    for one in (path, path.with_name("outbox.db.lock")):
        assert (one.stat().st_uid, one.stat().st_gid) == (12345, 12345)


async def test_every_allowance_is_spent_once_at_the_first_start(path: Path, copy: Path) -> None:
    """A second start within the window must not begin it anew, nor a third forget it."""
    async with open_outbox(path) as outbox:
        back_up(path, copy, force=False)
    _put_back(copy, path)
    async with open_outbox(path) as outbox:
        await outbox.ledger.allow("stampede", 100, 900_000_000)
        await outbox.ledger.allow("spotler", 3, 1_000_000)
        spent = [await outbox.ledger.presume_spent(at=T0, boot=5, boot_id="b") for _ in range(2)]
        assert spent == [True, False]
        for name, requests in (("stampede", 100), ("spotler", 3)):
            entries = await outbox.ledger.entries(name, newest=2 * requests)
            assert {(one.ended_at, one.ended_boot, one.boot_id) for one in entries} == {
                (T0, 5, "b")
            }
            assert look(path, "SELECT count(*) FROM attempt WHERE destination = ?", name) == [
                (requests,)
            ]


async def test_what_a_killed_copy_left_is_removed_and_a_running_ones_is_not(
    path: Path, copy: Path
) -> None:
    """It holds guests' details, in a folder that nobody looks at."""
    migrate(path)
    left, running = (copy.parent / f".copy.db.{name}" for name in ("abcd_123", "running1"))
    for folder in (left, running, copy.parent / ".copy.db.mine"):
        folder.mkdir()
        (folder / "copy.db").touch()
    handle = os.open(running, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        back_up(path, copy, force=False)
    finally:
        os.close(handle)
    names = {one.name for one in copy.parent.iterdir()}
    assert names == {"copy.db", ".copy.db.running1", ".copy.db.mine"}


def test_a_name_may_be_any_bytes(tmp_path: Path) -> None:
    """File systems allow it, and a traceback helps nobody."""
    path = tmp_path / os.fsdecode(b"outbox-\xff.db")
    migrate(path)
    back_up(path, tmp_path / os.fsdecode(b"copy-\xe9.db"), force=False)
    assert _put_back(tmp_path / os.fsdecode(b"copy-\xe9.db"), path)
