"""Crashes and restarts: what was answered 200 arrives, and the allowance is kept."""

import asyncio
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.world import World, equations, newest_truth, told, world
from tests.waiting import until


@asynccontextmanager
async def process(here: World, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the daemon as a process, until it listens; killed on leaving if it still runs."""
    with log.open("ab") as sink:
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pipeline", "run", "--config", str(here.path),
            stdout=sink, stderr=sink,
        )  # fmt: skip
        try:
            await until(here.listens)
            yield daemon
        finally:
            if daemon.returncode is None:
                daemon.kill()
            await daemon.wait()


@pytest.mark.waits
async def test_what_was_answered_survives_kill_9_and_the_allowance_is_kept(tmp_path: Path) -> None:
    """The promise behind every 200: killed at random moments, nothing accepted is lost."""
    chance = random.Random(20261121)
    async with world(tmp_path, requests=100, per=1.0, retry_factor=0.0001) as here:
        playing = asyncio.create_task(
            here.play(bookings=25, updates=10, cancellations=3, guests=15, seed=9, concurrency=4)
        )
        for _ in range(3):
            async with process(here, tmp_path / "daemon.log") as daemon:
                await asyncio.wait({playing}, timeout=chance.uniform(0.05, 0.9))
                daemon.send_signal(signal.SIGKILL)
                await daemon.wait()
        async with process(here, tmp_path / "daemon.log"):
            await playing
            await until(here.everything_was_answered)
            status = await here.settled()
        equations(status)
        assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))
        refused = [r for r in await here.requests("stampede") if r["status"] == 429]
        assert refused == []


@pytest.mark.waits
async def test_a_crash_gives_back_no_slot_of_the_allowance(tmp_path: Path) -> None:
    """What was sent is in the peer's window, whoever was killed since."""
    async with world(tmp_path, requests=10, per=3.0) as here:

        async def sent() -> int:
            return len(await here.requests("stampede"))

        async def after(count: int) -> bool:
            return await sent() >= count

        async with process(here, tmp_path / "daemon.log") as daemon:
            await here.play(bookings=6, updates=0, cancellations=0, guests=6, seed=3)
            await until(lambda: after(10))
            daemon.send_signal(signal.SIGKILL)
            await daemon.wait()
        async with process(here, tmp_path / "daemon.log"):
            await until(lambda: after(20))
        log = await here.requests("stampede")
        assert [r["status"] for r in log if r["status"] == 429] == []


async def test_sigterm_ends_it_with_0_within_the_grace_and_gives_back_what_was_claimed(
    here: World,
) -> None:
    """Systemd stops it like this at every update; nothing may hang or stay claimed."""
    await here.control("stampede", "faults", {"kind": "slow", "delay": 0.3})
    async with process(here, here.folder / "daemon.log") as daemon:
        await here.play(bookings=10, seed=2)
        begun = time.monotonic()
        daemon.terminate()
        assert await daemon.wait() == 0
        assert time.monotonic() - begun < here.config.server.shutdown_grace
    states = {state for (state,) in here.rows("SELECT state FROM deliveries")}
    assert "sending" not in states
    assert here.rows("SELECT count(*) FROM events WHERE state = 'processing'") == [(0,)]
    assert here.rows("SELECT count(*) FROM attempts WHERE outcome = 'open'") == [(0,)]


async def test_the_daemon_runs_on_uvloop_where_that_is_installed(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever installs the extra `speed` wants it to be used."""
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "uvloop.py").write_text(
        "import asyncio, sys\n"
        "def new_event_loop():\n"
        "    print('a loop of uvloop', file=sys.stderr)\n"
        "    return asyncio.new_event_loop()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(installed))
    log = tmp_path / "daemon.log"
    async with process(here, log) as daemon:
        daemon.terminate()
        assert await daemon.wait() == 0
    assert "a loop of uvloop\n" in log.read_text()


async def test_a_second_daemon_on_the_same_outbox_is_refused(here: World) -> None:
    """Two writers could lose committed rows, and would spend the allowance twice."""
    async with here.running():
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pipeline", "run", "--config", str(here.path),
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await second.communicate()
    assert second.returncode == 1
    assert "another pipeline is running on this outbox" in said.decode()
    assert "Traceback" not in said.decode()


@pytest.mark.waits
async def test_the_allowance_is_never_exceeded_across_clean_restarts(tmp_path: Path) -> None:
    """A limiter that forgets at a restart lets twice the allowance through."""
    async with world(tmp_path, requests=20, per=1.0) as here:
        for number in range(3):
            async with here.running():
                await here.play(bookings=5, seed=number)
                await asyncio.wait({asyncio.create_task(_nap(0.3))})
        async with here.running():
            await here.settled()
        log = await here.requests("stampede")
        assert not [r for r in log if r["status"] == 429]
        assert told(await here.state("stampede")) == newest_truth(await here.state("roller"))


async def test_a_restart_is_no_way_around_a_429(here: World) -> None:
    """The peer has asked for a pause, and whoever asks again at once may be locked out."""
    await here.control("stampede", "faults", {"kind": "429", "rate": 1.0})
    async with here.running():
        await here.book(booking={})
        await until(lambda: here.rows("SELECT 1 FROM attempts WHERE outcome = 'rate_limited'"))
    asked = len(await here.requests("stampede"))
    async with here.running():
        found = (await here.status()).destinations["stampede"]
        assert found.state == "throttled"
        budget = found.budget
        assert (budget.requests, budget.allowed, budget.left) == (5000, 4500, 0)
        assert 0 < budget.pause_s <= 60
        await _nap(0.3)
    assert len(await here.requests("stampede")) == asked


async def _nap(seconds: float) -> None:
    """Let the daemon work for a moment, whatever it does in it."""
    await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=seconds)


async def test_a_restart_does_not_forget_when_a_source_was_last_heard_of(here: World) -> None:
    """Whoever watches for a venue that has fallen silent must not be woken by every update."""
    async with here.running():
        await here.book(booking={})
        await here.settled()
        before = (await here.status()).sources["leeds"].last_event_at
    assert before is not None
    async with here.running():
        assert (await here.status()).sources["leeds"].last_event_at == before
