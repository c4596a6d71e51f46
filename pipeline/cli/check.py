"""`pipeline check`: what is wrong with the configuration."""

import argparse

from rich.markup import escape
from rich.table import Table

from pipeline.cli.common import Commands, add_command, configuration, console


def add(commands: Commands) -> None:
    """Add the command."""
    made = add_command(
        commands,
        "check",
        "find what is wrong with the configuration",
        "Reads the configuration and the secrets it names, and prints every problem with its path."
        "\nNo outbox is opened and nobody is contacted.",
    )
    made.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> int:
    config = configuration(options)
    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, source in config.sources.items():
        table.add_row("[green]ok[/]", f"sources.{name}", f"{source.type} at {source.base_url}")
    for name, destination in config.destinations.items():
        fed = ", ".join(destination.source_names())
        table.add_row("[green]ok[/]", f"destinations.{name}", f"{destination.type}, takes {fed}")
    for warning in config.warnings():
        path, _, sentence = warning.partition(": ")
        table.add_row("[yellow]warning[/]", path, escape(sentence))
    console().print(table)
    return 0
