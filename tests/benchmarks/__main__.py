"""Runs the benchmarks and prints their table; exits 1 when a target is missed.

    python -m tests.benchmarks [answering] [standing] [desk] [allowance] [truth]
                               [sweeping]

Files go to a temporary folder ($TMPDIR names another place). How fast that disk flushes is part of
the result, so it is printed too; a folder in memory makes all of it look too good.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks import allowance, answering, desk, standing, sweeping, truth
from tests.benchmarks.table import Line, shown

_PARTS = {
    "answering": answering.measure,
    "standing": standing.measure,
    "desk": desk.measure,
    "allowance": allowance.measure,
    "truth": truth.measure,
    "sweeping": sweeping.measure,
}

_FLUSHES = 50


def main() -> int:
    """Run the parts that are named, or all."""
    begun = time.monotonic()
    chosen = sys.argv[1:] or list(_PARTS)
    if unknown := set(chosen) - set(_PARTS):
        sys.stderr.write(f"there are {', '.join(_PARTS)}, not {', '.join(sorted(unknown))}\n")
        return 2
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="pipeline-benchmark-") as name:
        lines.append(_disk(Path(name)))
        for part in chosen:
            folder = Path(name, part)
            folder.mkdir()
            lines += _PARTS[part](folder)
    print(shown(lines))
    print(f"\nTook {time.monotonic() - begun:.0f} s.")
    return int(any(line.met is False for line in lines))


def _disk(folder: Path) -> Line:
    """Measure a flush of one page to the disk."""
    took = []
    with (folder / "flushed").open("wb", buffering=0) as file:
        for _ in range(_FLUSHES):
            file.write(bytes(4096))
            begun = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - begun)
    return Line(what="milliseconds to flush a page to this disk", measured=_ms(took))


def _ms(took: list[float]) -> str:
    return f"{statistics.median(took) * 1000:.2f}"


if __name__ == "__main__":
    sys.exit(main())
