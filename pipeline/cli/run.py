"""`pipeline run`: the daemon."""

import argparse
import asyncio
import gc
import importlib
import signal
from collections.abc import Callable

from pipeline.cli.common import Commands, add_command, complain, configuration
from pipeline.config import Config
from pipeline.daemon import run

#: New objects between two collections. What a webhook leaves dies without one; at the default of
#: 700 those that wait for a commit are looked at again and again, for a fifteenth of the core.
_COLLECT_AFTER = 10_000


def add(commands: Commands) -> None:
    """Add the command."""
    made = add_command(
        commands,
        "run",
        "run the daemon",
        "Runs until SIGTERM or Ctrl-C, then finishes or gives back what is under way.",
    )
    made.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    config = configuration(options)
    for warning in config.warnings():
        complain(f"{options.config}: warning: {warning}")
    gc.set_threshold(_COLLECT_AFTER)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_until_signalled(config))
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Give what makes uvloop's event loop where that is installed, as by the extra `speed`."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _until_signalled(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)  # a second Ctrl-C does not wait

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    await run(config, stop)
