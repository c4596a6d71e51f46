"""What is said of a machine: each judgement at its border."""

from pathlib import Path

import pytest

from pipeline.config import load
from pipeline.findings import Finding, Verdict
from pipeline.outbox.version import has_wal_hazard
from pipeline.probe import (
    examine_machine,
    filesystem,
    judge_filesystem,
    judge_flush,
    judge_room,
    judge_sqlite,
)

_HERE = Path("/var/lib/pipeline")

_CONFIG = """
[outbox]
path = "{outbox}"
[sources.leeds]
type = "roller"
client_id = "id"
client_secret = "in plain text"
webhook_key = "in plain text"
[destinations.stampede]
type = "stampede"
client_id = "id"
client_secret = "in plain text"
venues = {{ leeds = "A1B2C3D4E5F6" }}
"""


@pytest.mark.parametrize(
    ("version", "hazard"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
    ],
)
def test_the_hazard_ends_with_the_releases_that_mend_it(
    version: tuple[int, int, int], hazard: bool
) -> None:
    """Three branches have the fix; what lies between them has not."""
    assert has_wal_hazard(version) is hazard


def test_sqlite_fails_only_when_it_is_too_old() -> None:
    """One writer is not in danger, so its hazard is a note that keeps nobody from starting."""
    judged = [judge_sqlite(version) for version in [(3, 36, 9), (3, 40, 1), (3, 51, 3)]]
    assert [one.verdict for one in judged] == [Verdict.FAILED, Verdict.OK, Verdict.OK]
    assert "can lose rows" in judged[1].note
    assert "lose" not in judged[2].note


@pytest.mark.parametrize(
    ("judged", "verdict"),
    [
        (judge_room(2_000_000_000, _HERE), "ok"),
        (judge_room(999_000_000, _HERE), "warning"),
        (judge_room(49_000_000, _HERE), "failed"),
        (judge_flush(0.000_019), "warning"),
        (judge_flush(0.000_021), "ok"),
        (judge_flush(0.1), "ok"),
        (judge_flush(0.11), "warning"),
        (judge_filesystem("ext4", _HERE), "ok"),
        (judge_filesystem("", _HERE), "ok"),
        (judge_filesystem("nfs4", _HERE), "warning"),
        (judge_filesystem("fuse.sshfs", _HERE), "warning"),
        (judge_filesystem("tmpfs", _HERE), "warning"),
    ],
)
def test_what_is_not_as_it_should_be_says_what_to_do(judged: Finding, verdict: str) -> None:
    """A verdict without a way out helps nobody."""
    assert judged.verdict == verdict
    assert bool(judged.advice) is (verdict != "ok")


def test_the_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    """The root is a disk nearly always; what counts is what is mounted nearest to the outbox."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda / ext4 rw 0 0\nserver:/x /var/lib nfs4 rw 0 0\n"
        "none /var/lib/pipe tmpfs rw 0 0\n/dev/sdb /mnt/a\\040b xfs rw 0 0\n"
    )
    assert filesystem(_HERE, mounts) == "nfs4"
    assert filesystem(Path("/home"), mounts) == "ext4"
    assert filesystem(Path("/mnt/a b/c"), mounts) == "xfs"
    assert filesystem(_HERE, tmp_path / "none") == ""


def _examined(folder: Path, outbox: str = "outbox.db") -> list[Finding]:
    path = folder / "config.toml"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(_CONFIG.format(outbox=outbox))
    return list(examine_machine(load(path), path))


def test_files_that_others_may_read_are_named_with_the_command_that_cures_them(
    tmp_path: Path,
) -> None:
    """Guests, tokens and secrets are for the daemon alone."""
    lax = []
    for name in ("outbox.db", "outbox.db-wal", "outbox.db.tokens"):
        (tmp_path / name).touch(mode=0o600)
    assert [one.verdict for one in _examined(tmp_path) if one.what == "file mode"] == ["ok", "ok"]
    for name in ("outbox.db", "outbox.db-wal", "outbox.db.tokens", "config.toml"):
        (tmp_path / name).chmod(0o640)
        lax.append(f"chmod 600 {tmp_path / name}")
    found = [one for one in _examined(tmp_path) if one.what == "file mode"]
    assert {one.verdict for one in found} == {Verdict.WARNING}
    assert sorted(one.advice for one in found) == sorted(lax)


def test_a_look_leaves_nothing_behind(tmp_path: Path) -> None:
    """Not even the file whose flush is timed."""
    found = _examined(tmp_path)
    assert [one.what for one in found if one.what in {"sqlite", "disk", "fsync"}] == [
        "sqlite",
        "disk",
        "fsync",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_a_folder_that_does_not_exist_fails(tmp_path: Path) -> None:
    """The daemon would not start."""
    [*_, last] = _examined(tmp_path, "none/outbox.db")
    assert (last.verdict, last.advice) == (Verdict.FAILED, f"mkdir -p {tmp_path / 'none'}")
