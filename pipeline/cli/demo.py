"""`pipeline demo`: see it work, with nothing to set up."""

import argparse
import asyncio
import signal

from pipeline.cli.common import Commands, add_command, console
from pipeline.demo import play

_ABOUT = """\
Starts simulated APIs and a real daemon on free ports of this machine, plays bookings through them
over real HTTP, and shows what arrived where. Nothing is left behind, and nobody else is contacted.

The allowance is 100 requests in 2 s here, so that you need not wait; Stampede's own is 100 in
15 minutes.
"""

_MOST = 2000


def add(commands: Commands) -> None:
    """Add the command."""
    made = add_command(commands, "demo", "see it work against simulated APIs", _ABOUT, config=False)
    made.add_argument(
        "--bookings", type=_count, default=25, metavar="N", help="how many bookings (default: 25)"
    )
    made.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    made.set_defaults(command=_demo)


def _demo(options: argparse.Namespace) -> int:
    worked = asyncio.run(_until_signalled(options.bookings, keep=options.keep))
    return 0 if worked else 1


async def _until_signalled(bookings: int, *, keep: bool) -> bool:
    """Play; SIGTERM ends it as Ctrl-C does, and with it the daemon that it has started."""
    playing = asyncio.current_task()
    assert playing is not None  # noqa: S101 - this is one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    return await play(console(), bookings=bookings, keep=keep)


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= _MOST:
        msg = f"expected a number from 1 to {_MOST}, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
