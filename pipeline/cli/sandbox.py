"""`pipeline sandbox`: the simulated APIs."""

import argparse
import asyncio
import sys
from urllib.parse import urlsplit

from pipeline.cli.common import Commands, add_command, complain
from pipeline.errors import PipelineError
from pipeline.sandbox.configuration import render_config
from pipeline.sandbox.serve import Address, Sandbox, run_sandbox
from pipeline.sandbox.settings import DEFAULT_WEBHOOK, SandboxSettings, default_settings

_ABOUT = """\
Runs simulated APIs of ROLLER and Stampede until Ctrl-C, and prints a configuration that fits.

Make bookings, and have their webhooks sent:
  curl -X POST http://127.0.0.1:9101/_sandbox/play -d '{"bookings": 5}'
See what has arrived:
  curl http://127.0.0.1:9102/_sandbox/state
Let one request in five fail:
  curl -X POST http://127.0.0.1:9102/_sandbox/faults -d '{"rate": 0.2, "kind": "500"}'
"""


def add(commands: Commands) -> None:
    """Add the command."""
    made = add_command(
        commands, "sandbox", "run simulated APIs of ROLLER and Stampede", _ABOUT, config=False
    )
    for name, port in (("roller", 9101), ("stampede", 9102)):
        made.add_argument(
            f"--{name}",
            type=_address,
            default=Address(port=port),
            metavar="HOST:PORT",
            help=f"where the simulated {name.upper() if name == 'roller' else 'Stampede'} listens"
            f" (default: 127.0.0.1:{port})",
        )
    made.set_defaults(command=_sandbox)


def _sandbox(options: argparse.Namespace) -> int:
    try:
        asyncio.run(_serve(options.roller, options.stampede))
    except OSError as exc:
        msg = f"cannot listen: {exc.strerror or exc}"
        raise PipelineError(msg) from exc
    return 0


async def _serve(roller: Address, stampede: Address) -> None:
    settings = default_settings(everything=True)
    async with run_sandbox(settings, roller=roller, stampede=stampede) as sandbox:
        text = printed(settings, sandbox)
        sys.stdout.write(f"# A configuration that fits: save it as config.toml.\n{text}\n")
        sys.stdout.flush()
        complain(f"ROLLER at {sandbox.roller}, Stampede at {sandbox.stampede}; Ctrl-C ends.")
        await asyncio.Event().wait()


def printed(settings: SandboxSettings, sandbox: Sandbox) -> str:
    """Write a configuration for a daemon that listens where the sandbox sends its webhooks."""
    listen = urlsplit(DEFAULT_WEBHOOK).netloc
    return render_config(
        settings, sandbox, listen=listen, outbox="sandbox.db", public_url=f"http://{listen}"
    )


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc
