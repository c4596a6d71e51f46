"""What several commands share: exit codes, the option --config, tables, JSON."""

import argparse
import functools
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rich_argparse import RawDescriptionRichHelpFormatter

# What a command may do without is imported where it is needed.
if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pipeline.config import Config


#: Columns of what is no terminal: nothing is cut there that a script may look for.
_WIDE = 10_000

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 69
EXIT_CONFIG = 78
EXIT_INTERRUPTED = 130

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse names it so


def complain(text: str) -> None:
    """Tell a person what is wrong."""
    sys.stderr.write(text.rstrip() + "\n")


def agreed(question: str) -> bool:
    """Ask on a terminal; elsewhere nobody is there to answer, and the command was meant."""
    if not sys.stdin.isatty():
        return True
    sys.stderr.write(f"{question} Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    complain("Nothing was changed.")
    return False


def add_command(
    commands: Commands,
    name: str,
    summary: str,
    about: str,
    *,
    config: bool = True,
    within: bool = False,
) -> argparse.ArgumentParser:
    """Add a command; `summary` is its line in the list, `about` its own help.

    One `within` another takes --config too, and else leaves what that one was given.
    """
    made = commands.add_parser(
        name,
        help=summary,
        description=about,
        formatter_class=Help,
    )
    if config:
        made.add_argument(
            "--config",
            type=Path,
            default=argparse.SUPPRESS if within else default_config(),
            metavar="PATH",
            help="the configuration (default: $PIPELINE_CONFIG, else config.toml)",
        )
    return made


def default_config() -> Path:
    """Give the configuration that is used without --config."""
    return Path(os.environ.get("PIPELINE_CONFIG") or "config.toml")


def configuration(options: argparse.Namespace) -> "Config":
    """Load what --config names; ConfigError with every problem."""
    from pipeline.config import load

    return load(options.config)


def console(width: int | None = None) -> "Console":
    """Make the console that tables are printed on: colour, and a narrow page, only on a terminal.

    With NO_COLOR nothing is bold either.
    """
    from rich.console import Console

    if width is None and not sys.stdout.isatty():
        width = _WIDE
    return Console(
        highlight=False,
        soft_wrap=False,
        width=width,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )


def table(*columns: str) -> "Table":
    """Make a table whose texts go on in the next line where there is no room; none is cut."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        made.add_column(name, overflow="fold")
    return made


class Help(RawDescriptionRichHelpFormatter):
    """Writes the help as everything else is written."""

    @functools.cached_property
    def console(self) -> "Console":
        """Made when something is written: argparse makes one of these for each option."""
        return console(shutil.get_terminal_size().columns)


def print_json(document: object) -> None:
    """Print what --json promises: one document."""
    import msgspec

    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
