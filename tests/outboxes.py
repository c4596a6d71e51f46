"""An outbox as a daemon makes it, copied: to make each anew is a third of opening it."""

import functools
import tempfile
from pathlib import Path

from pipeline.outbox.file import migrate


def place_outbox(path: Path) -> Path:
    """Put a new outbox there, unless there is one."""
    if not path.exists():
        path.write_bytes(_made())
    return path


@functools.cache
def _made() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outbox.db"
        migrate(path)
        return path.read_bytes()
