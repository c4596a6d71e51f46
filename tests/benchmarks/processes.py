"""Starts the processes that are measured, and ends them whatever happens."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

#: Seconds that a process has to end by itself.
_END = 15.0


def cores() -> tuple[int | None, int | None]:
    """Give a core to be measured on and another one to measure from; None twice without two."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


@contextmanager
def started(
    arguments: Sequence[str],
    *,
    core: int | None,
    stdout: int | IO[bytes],
    stderr: IO[bytes] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run this Python with arguments, on `core` if given, for as long as the context lasts."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=stdout, stderr=stderr)
    try:
        if core is not None:
            # Before it has threads, which take this over.
            os.sched_setaffinity(process.pid, {core})
        yield process
    finally:
        _end(process)


def peak_memory(process: subprocess.Popen[bytes]) -> float | None:
    """Give the megabytes that a process has held at most; None where /proc does not tell."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return None
    [line] = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_END)
    if process.stdout is not None:
        process.stdout.close()
