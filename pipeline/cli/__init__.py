"""The command line: one module a command, one place for exit codes and errors."""

import argparse
import asyncio
import atexit
import gc
import importlib
import io
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from pipeline import __version__
from pipeline.cli.common import (
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    Help,
    complain,
)
from pipeline.errors import ConfigError, PipelineError

_ABOUT = """\
Brings ROLLER bookings to Stampede: receives ROLLER's webhooks, fetches the customer, and tells
Stampede, within its limit of 100 requests in 15 minutes, and through crashes and restarts.

Start here:
  pipeline demo             see it work against simulated APIs, with nothing to set up
  pipeline check            find what is wrong with config.toml
  pipeline check --online   try the credentials, venues and webhooks, and look at this machine
  pipeline webhooks register  have ROLLER send here
  pipeline preview FILE     see what a webhook would make it send
  pipeline run              run it
  pipeline status           see what came in, what is owed, and what is in the way
  pipeline explain ID       ask where a booking is, why, and what happens when
"""

_EXITS = """\
Exit codes: 0 done, 1 it did not work, 2 wrong usage, 69 the daemon or a needed service cannot be
reached, 78 the configuration is wrong, 130 interrupted.
"""

#: The module of each command, in the order in which a person meets them. They need most of the
#: libraries among them, and hardly any by itself, so only the one that is asked for is imported.
_COMMANDS: Mapping[str, str] = {
    "demo": "demo",
    "run": "run",
    "check": "check",
    "preview": "preview",
    "venues": "venues",
    "webhooks": "webhooks",
    "status": "status",
    "explain": "explain",
    "events": "records",
    "deliveries": "records",
    "reconcile": "sweeps",
    "backfill": "backfill",
    "backup": "backup",
    "restore": "backup",
    "sandbox": "sandbox",
    "simulate": "simulate",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; a foreseeable failure is a sentence on stderr."""
    if arguments is None:
        arguments = sys.argv[1:]
        # All that is left goes with the process: Python need not look for garbage in it.
        atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # it may know ASCII only
            stream.reconfigure(errors="replace")
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except ConfigError as exc:
        complain(str(exc))
        return EXIT_CONFIG
    except PipelineError as exc:
        complain(f"pipeline: {exc}")
        return EXIT_FAILED
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`).
        _let_go_of_stdout()
        return EXIT_FAILED
    except OSError as exc:
        where = f"{exc.filename}: " if exc.filename else ""
        complain(f"pipeline: {where}{exc.strerror or exc}")
        _let_go_of_stdout()
        return EXIT_FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        return EXIT_INTERRUPTED


def _run(arguments: Sequence[str]) -> int:
    for argument in arguments:
        if not _is_text(argument):
            complain(f"pipeline: {argument!r} is not UTF-8 text")
            return EXIT_USAGE
    options = parser(_asked_for(arguments)).parse_args(arguments)
    return int(options.command(options))


def _asked_for(arguments: Sequence[str]) -> Collection[str]:
    """Name the commands that there must be for these arguments: all, to list them in the help."""
    first = arguments[0] if arguments else ""
    if first == "--version":
        return ()
    return [first] if first in _COMMANDS else list(_COMMANDS)


def _is_text(argument: str) -> bool:
    """Tell whether it came as UTF-8; names of files that are not cannot be used either."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _let_go_of_stdout() -> None:
    """Keep Python from complaining once more at its end of what could not be written."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser(commands: Collection[str] = tuple(_COMMANDS)) -> argparse.ArgumentParser:
    """Make the parser of these commands, and of those that share a module with them."""
    made = argparse.ArgumentParser(
        prog="pipeline",
        description=_ABOUT,
        epilog=_EXITS,
        formatter_class=Help,
    )
    made.add_argument("--version", action="version", version=f"pipeline {__version__}")
    added = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    gc.disable()  # what is imported stays, and looking for garbage in it is a tenth of the time
    try:
        for module in dict.fromkeys(_COMMANDS[name] for name in commands):
            importlib.import_module(f"pipeline.cli.{module}").add(added)
    finally:
        gc.enable()
    return made
