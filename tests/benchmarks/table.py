"""The table that is printed."""

from collections.abc import Sequence

from msgspec import Struct


class Line(Struct, frozen=True, kw_only=True):
    """One thing that was measured."""

    what: str
    measured: str
    target: str = ""
    #: None for what has no target, or cannot be measured here.
    met: bool | None = None


def shown(lines: Sequence[Line]) -> str:
    """Lay the lines out in columns."""
    verdicts = {True: "met", False: "MISSED", None: ""}
    rows = [("what", "measured", "target", "")]
    rows += [(line.what, line.measured, line.target, verdicts[line.met]) for line in lines]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    padded = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([padded[0], "-" * max(map(len, padded)), *padded[1:]])
