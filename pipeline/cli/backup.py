"""`pipeline backup` and `pipeline restore`: a copy of the outbox, and putting one back."""

import argparse
from pathlib import Path

from rich.filesize import decimal
from rich.markup import escape

from pipeline.cli.common import EXIT_FAILED, Commands, add_command, agreed, configuration, console
from pipeline.clock import SystemClock
from pipeline.outbox.backup import Contents, back_up, restoring

_BACKUP = """\
Writes a checked copy of the outbox, as of one moment, also while the daemon runs. It holds guests'
details like the outbox itself, and no tokens.
"""
_RESTORE = """\
Puts a backup in the outbox's place; the daemon must be stopped. What was there is kept beside it.
At the next start the pipeline waits one full window of each allowance before it sends, for what was
sent after the backup is not known, and fetches guests again.
"""


def add(commands: Commands) -> None:
    """Add both commands."""
    made = add_command(commands, "backup", "copy the outbox while the daemon runs", _BACKUP)
    made.add_argument("file", type=Path, metavar="FILE", help="where to write the copy")
    made.add_argument("--force", action="store_true", help="replace FILE if it exists")
    made.set_defaults(command=_backup)
    made = add_command(commands, "restore", "put a backup in the outbox's place", _RESTORE)
    made.add_argument("file", type=Path, metavar="FILE", help="a copy made by `pipeline backup`")
    made.add_argument("--yes", action="store_true", help="do not ask")
    made.set_defaults(command=_restore)


def _backup(options: argparse.Namespace) -> int:
    path = configuration(options).outbox.path
    made = back_up(path, options.file, force=options.force)
    _say(f"{options.file}: {_told(made)}.")
    return 0


def _restore(options: argparse.Namespace) -> int:
    path = configuration(options).outbox.path
    with restoring(options.file, path) as ready:
        told = _told(ready.contents)
        question = f"This will put {options.file} ({told}) in the place of {path}."
        if not options.yes and not agreed(question):
            return EXIT_FAILED
        kept = ready.put_back(now=SystemClock().now())
    _say(f"{path}: put back from {options.file}: {told}.")
    if kept:
        _say(f"What was there is kept as {kept}, its -wal folded in.")
        _say("It holds guests' details: delete it when it is not needed any more.")
    _say("What ROLLER sent after the backup is not in it: `pipeline reconcile` asks for that anew.")
    return 0


def _told(contents: Contents) -> str:
    """Say what a copy holds."""
    size = decimal(contents.size)
    return f"{size}, events: {contents.events:,}, deliveries: {contents.deliveries:,}"


def _say(text: str) -> None:
    console().print(escape(text), soft_wrap=True)
