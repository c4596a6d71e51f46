"""Tells whether a process holds an outbox, without holding it."""

import fcntl
import os
from pathlib import Path

from pipeline.outbox.file import lock_of


def is_held(path: Path) -> bool:
    """Tell whether a process holds the outbox; False, too, where that cannot be told.

    It tries the lock for an instant, so it is asked only where no daemon answers.
    """
    try:
        handle = os.open(lock_of(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False
