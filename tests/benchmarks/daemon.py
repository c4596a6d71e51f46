"""Runs the daemon as a user does, on an outbox of the benchmark's own.

ROLLER and Stampede are at closed ports, so the daemon takes in what comes, finds them down and
tries again as it does in real life; with both up, the allowance would let it do about one request a
second, which is as little to the core.
"""

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from pipeline.status import Status
from tests.benchmarks.processes import started

KEY = "a-key-of-the-benchmark"
SOURCE = "leeds"
DESTINATION = "stampede"

#: Seconds for a start, and for an answer.
_START = 30.0
_ANSWER = 10.0

_STEP = 0.002

_CONFIG = """\
[server]
listen = "127.0.0.1:{listen}"
admin = "127.0.0.1:{admin}"

[outbox]
path = "outbox.db"

[sources.{source}]
type = "roller"
base_url = "http://127.0.0.1:{closed}"
client_id = "nobody"
client_secret = "none"
webhook_key = "{key}"
timezone = "Europe/London"
currency = "GBP"
country = "GB"

[destinations.{destination}]
type = "stampede"
base_url = "http://127.0.0.1:{closed}"
client_id = "nobody"
client_secret = "none"
venues = {{ {source} = "A1B2C3D4E5F6" }}
"""


class Daemon(Struct, frozen=True, kw_only=True):
    """A running daemon."""

    process: subprocess.Popen[bytes]
    listen: int
    admin: int
    #: Seconds from exec until /readyz said yes.
    ready_after: float

    def status(self) -> tuple[Status, float]:
        """Ask for the status document; tell also how many seconds the answer took."""
        begun = time.perf_counter()
        answer = _get(self.admin, "/api/status")
        took = time.perf_counter() - begun
        if answer is None or answer[0] != http.client.OK:
            raise RuntimeError("the daemon does not tell its status")
        return msgspec.json.decode(answer[1], type=Status), took


@contextmanager
def daemon(folder: Path, *, core: int | None) -> Iterator[Daemon]:
    """Run the daemon on the outbox in `folder`, ready; its log goes to a file there."""
    listen, admin, closed = _free_ports(3)
    path = folder / "config.toml"
    path.write_text(
        _CONFIG.format(
            listen=listen,
            admin=admin,
            closed=closed,
            key=KEY,
            source=SOURCE,
            destination=DESTINATION,
        )
    )
    arguments = ["-m", "pipeline", "run", "--config", str(path)]
    with (folder / "daemon.log").open("wb") as log:
        begun = time.perf_counter()
        with started(arguments, core=core, stdout=log, stderr=log) as process:
            _until_ready(process, admin, folder / "daemon.log")
            took = time.perf_counter() - begun
            yield Daemon(process=process, listen=listen, admin=admin, ready_after=took)


def _until_ready(process: subprocess.Popen[bytes], admin: int, log: Path) -> None:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline and process.poll() is None:
        answer = _get(admin, "/readyz")
        if answer and answer[0] == http.client.OK:
            return
        time.sleep(_STEP)
    said = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"the daemon did not become ready:\n{said}")


def _get(port: int, path: str) -> tuple[int, bytes] | None:
    """Ask the admin listener; None when nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (ConnectionError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _free_ports(count: int) -> list[int]:
    """Give ports that nobody listens on; held together, so that they differ."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
