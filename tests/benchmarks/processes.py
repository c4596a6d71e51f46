"""Starts the processes that are measured, each on one core, and ends them whatever happens."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

#: Seconds that a process has to end by itself.
_END = 15.0


def cores() -> tuple[int, int] | None:
    """Give a core to be measured on and another one to measure from; None where there are none."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else None


@contextmanager
def started(
    arguments: Sequence[str], *, core: int | None, stdout: int | IO[bytes], stderr: IO[bytes] | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run this Python with arguments, on one core, for as long as the context lasts."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=stdout, stderr=stderr)
    try:
        if core is not None:
            # Before it has threads, which take this over.
            os.sched_setaffinity(process.pid, {core})
        yield process
    finally:
        _end(process)


def resident(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Give the megabytes that a process holds in memory, now and at most until now."""
    found = dict.fromkeys(("VmRSS", "VmHWM"), 0.0)
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) / 1024
    return found["VmRSS"], found["VmHWM"]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_END)
    if process.stdout is not None:
        process.stdout.close()
