"""The file itself: one owner, one version, readable to nobody else."""

import sqlite3
import stat
from pathlib import Path

import pytest

from pipeline.errors import (
    OutboxBusy,
    OutboxError,
    OutboxMissing,
    OutboxTooNew,
    OutboxUnavailable,
)
from pipeline.outbox.file import MIGRATIONS, instance_lock, migrate, require_current
from pipeline.outbox.query import rows
from pipeline.outbox.sqlite import open_outbox, read_outbox
from tests.outbox.support import arrival, change, look

_NEXT = "CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT;\nINSERT INTO later VALUES (7);\n"


def _modes(path: Path) -> dict[str, int]:
    """Give who may do what with the outbox's files, by how their names end."""
    files = path.parent.glob(f"{path.name}*")
    return {file.name.removeprefix(path.name): stat.S_IMODE(file.stat().st_mode) for file in files}


def _crashed(path: Path) -> Path:
    """Copy an outbox that is open, as a crash would leave it."""
    copy = path.with_name("crashed.db")
    for file in path.parent.glob(f"{path.name}*"):
        end = file.name.removeprefix(path.name)
        copy.with_name(copy.name + end).write_bytes(file.read_bytes())
    return copy


async def test_it_is_held_by_one_process_and_free_after_it(path: Path) -> None:
    """Two writers could lose committed rows, and would spend the allowance twice."""
    async with open_outbox(path):
        with pytest.raises(OutboxBusy, match="another pipeline is running on this outbox"):
            async with open_outbox(path):
                pass
    async with open_outbox(path):
        pass


async def test_all_its_files_are_for_its_owner_only(path: Path) -> None:
    """They hold guests' names and addresses."""
    async with open_outbox(path) as outbox:
        await outbox.intake.accept(arrival("key"))
        assert _modes(path) == {"": 0o600, "-wal": 0o600, "-shm": 0o600, ".lock": 0o600}


async def test_an_older_one_is_backed_up_and_migrated(path: Path) -> None:
    """An update that goes wrong must leave something to go back to."""
    async with open_outbox(path) as outbox:
        await outbox.intake.accept(arrival("key"))
    migrate(path, [*MIGRATIONS, _NEXT])
    assert look(path, "PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]
    assert look(path, "SELECT * FROM later") == [(7,)]
    backup = path.with_name(f"outbox.db.v{len(MIGRATIONS)}.bak")
    assert look(backup, "SELECT key FROM events") == [("key",)]
    assert look(backup, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    """Half a migration is no version at all."""
    migrate(path)
    with pytest.raises(OutboxError, match="cannot be used as an outbox"):
        migrate(path, [*MIGRATIONS, _NEXT + "SELECT nonsense;\n"])
    assert look(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert look(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'later'") == [(0,)]


def test_a_newer_one_is_refused_untouched(path: Path) -> None:
    """An old program must not guess at a new file."""
    migrate(path, [*MIGRATIONS, _NEXT])
    before = path.read_bytes()
    with pytest.raises(OutboxTooNew, match="run the newer pipeline"):
        migrate(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "kind", ["text", "other database", "with versions", "folder", "no folder", "damaged"]
)
async def test_what_is_no_outbox_is_refused_with_a_sentence(path: Path, kind: str) -> None:
    """The commonest mistake is the wrong path."""
    match kind:
        case "text":
            path.write_text("not a database, but long enough to be read as one" * 20)
        case "other database":
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE theirs (x)")
            connection.close()
        case "with versions":
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE theirs (x)")
                connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            connection.close()
        case "folder":
            path.mkdir()
        case "damaged":
            migrate(path)
            whole = path.read_bytes()
            path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
        case _:
            path = path / "nowhere" / "outbox.db"
    with pytest.raises(OutboxError) as caught:
        async with open_outbox(path):
            pass
    assert str(path) in str(caught.value)


def test_a_link_to_it_has_the_same_lock(path: Path) -> None:
    """Two configurations may name one file in two ways."""
    path.touch()
    link = path.with_name("link.db")
    link.symlink_to(path)
    with instance_lock(path), pytest.raises(OutboxBusy), instance_lock(link):
        pass


async def test_a_copy_that_was_put_back_is_for_its_owner_only(path: Path) -> None:
    """`cp` makes it as open as the umask says."""
    migrate(path)
    path.chmod(0o644)
    async with open_outbox(path):
        assert _modes(path) == {"": 0o600, "-wal": 0o600, "-shm": 0o600, ".lock": 0o600}


def test_without_a_backup_nothing_is_migrated(path: Path) -> None:
    """A disk with no room for the one has none for the other."""
    migrate(path)
    path.with_name(f"outbox.db.v{len(MIGRATIONS)}.bak").mkdir()
    with pytest.raises(OutboxError, match="cannot be used as an outbox"):
        migrate(path, [*MIGRATIONS, _NEXT])
    assert look(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]


def test_a_migration_is_run_to_its_last_word(path: Path) -> None:
    """A semicolon that was forgotten must not drop a statement in silence."""
    migrate(path, [*MIGRATIONS, _NEXT.rstrip().removesuffix(";")])
    assert look(path, "SELECT * FROM later") == [(7,)]


@pytest.mark.parametrize("end", ["closed", "crashed"])
async def test_status_reads_one_that_nobody_runs_on(path: Path, end: str) -> None:
    """When the daemon is down is when people look."""
    async with open_outbox(path) as outbox:
        await outbox.intake.accept(arrival("key"))
        found = path if end == "closed" else _crashed(path)
    async with read_outbox(found) as outbox:
        assert [(count.state, count.n) for count in await outbox.overview.counts()] == [
            ("waiting", 1)
        ]


async def test_what_a_crash_left_in_the_wal_is_gone_after_a_start(path: Path) -> None:
    """It may be of people who have been erased."""
    async with open_outbox(path) as outbox:
        await outbox.intake.accept(arrival("key"))
        crashed = _crashed(path)
    wal = crashed.with_name(f"{crashed.name}-wal")
    assert wal.read_bytes()
    async with open_outbox(crashed):
        assert not wal.read_bytes()
    assert look(crashed, "SELECT key FROM events") == [("key",)]


@pytest.mark.parametrize("kind", ["text", "other database", "folder"])
async def test_status_says_what_is_no_outbox(path: Path, kind: str) -> None:
    """It reads whatever path the configuration names."""
    match kind:
        case "text":
            path.write_text("abc")
        case "folder":
            path.mkdir()
        case _:
            sqlite3.connect(path).close()
            path.touch()
    with pytest.raises(OutboxError, match=str(path)):
        async with read_outbox(path) as outbox:
            await outbox.overview.counts()


def test_what_reads_one_of_an_older_version_says_who_migrates_it(path: Path) -> None:
    """Between an update and the daemon's restart, "no such column" would tell nobody anything."""
    migrate(path)
    newer = [*MIGRATIONS, _NEXT]
    with pytest.raises(OutboxError, match="start the daemon once, which migrates it"):
        require_current(path, newer)
    migrate(path, newer)
    require_current(path, newer)
    with pytest.raises(OutboxTooNew):
        require_current(path)


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("ALTER TABLE delivery ADD COLUMN later INTEGER", "delivery"),
        ("DROP VIEW parked", "parked"),
        ("CREATE TRIGGER mine AFTER INSERT ON event BEGIN DELETE FROM event; END", "mine"),
    ],
    ids="column view trigger".split(),
)
async def test_one_with_other_tables_than_its_version_has_is_refused_by_all(
    path: Path, sql: str, named: str
) -> None:
    """SQLite's words about a missing column, in the middle of the work, would help nobody."""
    migrate(path)
    change(path, sql)
    before = path.read_bytes()
    for opened in (open_outbox(path), read_outbox(path)):
        with pytest.raises(OutboxError, match=rf"not those of this version \(see {named}\)"):
            async with opened:
                pass
    assert path.read_bytes() == before


async def test_an_index_and_a_view_of_ones_own_do_no_harm(path: Path) -> None:
    """People look into it, and some do it often."""
    migrate(path)
    change(path, "CREATE INDEX mine ON event (received_at)")
    change(path, "CREATE VIEW my_events AS SELECT * FROM events")
    async with open_outbox(path) as outbox:
        await outbox.intake.accept(arrival("key"))


async def test_only_a_daemon_makes_one(path: Path) -> None:
    """A command with a wrong path must not leave an empty outbox there."""
    with pytest.raises(OutboxMissing, match="no outbox"):
        async with open_outbox(path, create=False):
            pass
    with pytest.raises(OutboxMissing, match="no outbox"):
        async with read_outbox(path):
            pass
    assert list(path.parent.iterdir()) == []


async def test_a_full_disk_refuses_and_recovers_by_itself(path: Path) -> None:
    """No 200 for what is not on disk, and no restart needed when there is space again."""
    async with open_outbox(path) as outbox:
        await outbox.intake.accept(arrival("before"))
        connection = outbox._writer._connection  # noqa: SLF001 - the disk of this test
        [(pages,)] = await connection.execute_fetchall("PRAGMA page_count")
        await connection.execute_fetchall(f"PRAGMA max_page_count = {pages}")
        refused = 0
        for n in range(400):
            try:
                await outbox.intake.accept(arrival(f"full {n}"))
            except OutboxUnavailable:
                refused += 1
        assert refused
        troubles = [outbox.trouble]
        await connection.execute_fetchall("PRAGMA max_page_count = 1000000")
        await outbox.intake.accept(arrival("after"))
        troubles.append(outbox.trouble)
    assert [bool(trouble) for trouble in troubles] == [True, False]
    stored = look(path, "SELECT count(*) FROM events")
    assert stored == [(2 + 400 - refused,)]


@pytest.mark.parametrize("name", ["outbox.db", "outbox.db-wal"])
async def test_a_file_that_was_removed_or_replaced_takes_no_webhook(path: Path, name: str) -> None:
    """A 200 would promise what is in a file without a name."""
    file, aside = path.with_name(name), path.with_name("aside")
    async with open_outbox(path) as outbox:
        await outbox.intake.accept(arrival("1"))
        file.rename(aside)
        for _ in range(2):
            with pytest.raises(OutboxUnavailable, match="was removed or replaced"):
                await outbox.intake.accept(arrival("2"))
            file.write_bytes(aside.read_bytes())
        assert outbox.trouble
        assert "put it back, or restart" in outbox.trouble
        aside.replace(file)
        assert not (await outbox.intake.accept(arrival("2"))).duplicate
        assert outbox.trouble is None


async def test_it_is_proven_that_it_can_be_written_unless_it_just_was(path: Path) -> None:
    """Otherwise `readyz` would say ready for as long as no webhook comes."""
    stamp = "SELECT value FROM meta WHERE name = 'stamp'"
    async with open_outbox(path) as outbox:
        await outbox.prove()
        first = look(path, stamp)
        await outbox.intake.accept(arrival("1"))
        await outbox.prove()
        assert look(path, stamp) == first, "that was one write less"
        await outbox.prove()
        assert look(path, stamp) != first


async def test_what_cannot_be_read_is_trouble_until_it_can(path: Path) -> None:
    """A stage that reads nothing does nothing, and the file is written all the same."""
    async with open_outbox(path) as outbox:
        do = outbox._writer.do  # noqa: SLF001 - the damage of this test
        await do(lambda c: rows(c, "ALTER TABLE counter RENAME TO gone"))
        with pytest.raises(OutboxUnavailable):
            await outbox.overview.counts()
        assert outbox.trouble == "the outbox cannot be read: no such table: counter"
        await do(lambda c: rows(c, "ALTER TABLE gone RENAME TO counter"))
        await outbox.overview.counts()
        assert outbox.trouble is None
