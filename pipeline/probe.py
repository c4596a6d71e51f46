"""Looks at the machine: SQLite, who may read our files, the disk, and whether it keeps its word."""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.config import Config
from pipeline.findings import Finding, failed, ok, warning
from pipeline.outbox.version import OLDEST_SQLITE, Version, has_wal_hazard, sqlite_version

_MEGABYTE = 1_000_000
#: A webhook takes some 8 kB until it is done, so this is the room of some days.
_LITTLE_ROOM = 1_000 * _MEGABYTE
_NO_ROOM = 50 * _MEGABYTE

_FLUSHES = 5
#: Seconds. The fastest disks with their own battery take some 20 µs; a flush in less goes nowhere.
_TOO_FAST = 20e-6
#: ROLLER wants its answer within a second, and a commit flushes once or twice.
_SLOW = 0.1

#: On these SQLite's locks and shared memory cannot be relied on: https://sqlite.org/wal.html
_NETWORK = frozenset(
    "9p afs beegfs ceph cifs fuse.ceph fuse.glusterfs fuse.s3fs fuse.sshfs glusterfs gpfs lustre"
    " ncpfs nfs nfs4 ocfs2 smb3 smbfs".split()
)
_MEMORY = frozenset({"ramfs", "tmpfs"})
_OTHERS = 0o077
_AS_DAEMON = "check as the user that runs the daemon, and see whose the files are"


def examine_machine(config: Config, config_file: Path) -> Iterator[Finding]:
    """Look at everything that this machine has to do with it; what is tried leaves nothing."""
    yield judge_sqlite(sqlite_version())
    try:
        if any("in plain text" in text for text in config.warnings()):
            yield from _modes(
                [config_file], "the configuration, which holds secrets in plain text,"
            )
        yield from _outbox(config.outbox.path)
    except OSError as exc:
        yield failed("outbox", f"it cannot be looked at: {exc.strerror}", _AS_DAEMON)


def _outbox(outbox: Path) -> Iterator[Finding]:
    beside = [outbox, *(outbox.with_name(outbox.name + end) for end in ("-wal", "-shm", ".tokens"))]
    yield from _modes(beside, "")
    folder = outbox.resolve().parent
    if not folder.is_dir():
        yield failed("outbox", f"its folder {folder} does not exist", f"mkdir -p {folder}")
        return
    if outbox.exists() and not os.access(outbox, os.R_OK | os.W_OK):
        yield failed("outbox", f"{outbox} cannot be written by this user", _AS_DAEMON)
    yield judge_room(shutil.disk_usage(folder).free, folder)
    yield judge_filesystem(filesystem(folder), folder)
    try:
        yield judge_flush(_time_flushes(folder))
    except OSError as exc:
        advice = f"{_AS_DAEMON}; is the file system read-only?"
        yield failed("fsync", f"nothing can be written in {folder}: {exc.strerror}", advice)


def judge_sqlite(version: Version) -> Finding:
    """Tell what the version means for an outbox."""
    name = f"SQLite {'.'.join(map(str, version))}"
    if version < OLDEST_SQLITE:
        return failed("sqlite", f"{name} is too old", "3.37 or newer is needed: a newer Python")
    if not has_wal_hazard(version):
        return ok("sqlite", name)
    return ok(
        "sqlite",
        f"{name} can lose rows when two connections write to one file (mended in 3.51.3, 3.50.7 "
        "and 3.44.6); the daemon writes with one, so open the outbox with -readonly only",
    )


def judge_room(free: int, folder: Path) -> Finding:
    """Tell whether this many bytes will do."""
    note = f"{free // _MEGABYTE:,} MB are free in {folder}"
    if free < _NO_ROOM:
        return failed("disk", note, "make room: without it webhooks are answered 503")
    if free < _LITTLE_ROOM:
        return warning("disk", note, "make room, or set outbox.keep lower")
    return ok("disk", note)


def judge_filesystem(kind: str, folder: Path) -> Finding:
    """Tell whether an outbox is safe on this kind of file system."""
    note = f"{folder} is on {kind or 'a file system that cannot be told'}"
    if kind in _NETWORK:
        return warning("file system", f"{note}, over a network", "set outbox.path to a local disk")
    if kind in _MEMORY:
        advice = "set outbox.path to a disk"
        return warning("file system", f"{note}, in memory: lost with the next restart", advice)
    return ok("file system", note)


def judge_flush(seconds: float) -> Finding:
    """Tell whether a flush that takes this long is one."""
    note = f"a flush to the disk takes {seconds * 1000:.3g} ms"
    if seconds < _TOO_FAST:
        return warning(
            "fsync",
            f"{note}, which is implausibly fast: what is acknowledged may not survive a power cut",
            "is it a memory disk, or a virtual disk that ignores flushes?",
        )
    if seconds > _SLOW:
        advice = "use a faster disk: ROLLER wants each answer within a second"
        return warning("fsync", f"{note}, which is slow", advice)
    return ok("fsync", note)


def filesystem(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Name the kind of file system that a folder is on; empty where it cannot be told."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    found = (Path(), "")
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        mounted = Path(point.replace("\\040", " "))
        # Of two at one place the later one covers the earlier.
        if folder.is_relative_to(mounted) and len(mounted.parts) >= len(found[0].parts):
            found = (mounted, kind)
    return found[1]


def _modes(paths: list[Path], called: str) -> Iterator[Finding]:
    there = [path for path in paths if path.exists()]
    lax = [path for path in there if path.stat().st_mode & _OTHERS]
    for path in lax:
        mode = path.stat().st_mode & 0o777
        subject = f"{called} {path}".strip()
        yield warning("file mode", f"{subject} is open to others ({mode:04o})", f"chmod 600 {path}")
    if there and not lax:
        names = ", ".join(path.name for path in there)
        yield ok("file mode", f"only its owner may read {names}")


def _time_flushes(folder: Path) -> float:
    """Give the median of some flushes of a page, in a file without a name."""
    took = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(_FLUSHES):
            file.write(b"\0" * 8192)
            before = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - before)
    return statistics.median(took)
