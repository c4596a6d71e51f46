"""What several commands share: exit codes, the option --config, tables, JSON."""

import argparse
import os
import sys
from pathlib import Path
from typing import TypeAlias

import msgspec
from rich.console import Console
from rich_argparse import RawDescriptionRichHelpFormatter

from pipeline.config import Config, load

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
) -> argparse.ArgumentParser:
    """Add a command; `summary` is its line in the list, `about` its own help."""
    made = commands.add_parser(
        name,
        help=summary,
        description=about,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    if config:
        made.add_argument(
            "--config",
            type=Path,
            default=default_config(),
            metavar="PATH",
            help="the configuration (default: $PIPELINE_CONFIG, else config.toml)",
        )
    return made


def default_config() -> Path:
    """Give the configuration that is used without --config."""
    return Path(os.environ.get("PIPELINE_CONFIG") or "config.toml")


def configuration(options: argparse.Namespace) -> Config:
    """Load what --config names; ConfigError with every problem."""
    return load(options.config)


def console() -> Console:
    """Make the console that tables are printed on: colour only on a terminal."""
    return Console(highlight=False, soft_wrap=False)


def print_json(document: object) -> None:
    """Print what --json promises: one document."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
