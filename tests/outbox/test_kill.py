"""A process that is killed at any moment has lost nothing that it acknowledged."""

import asyncio
import contextlib
import random
import sys
from pathlib import Path

from pipeline.outbox.sqlite import open_outbox
from tests.outbox.support import arrival, conserved, look
from tests.waiting import LONG

#: Accepts messages as fast as it can, several at a time, and prints each key once it is accepted.
_PROGRAM = """
import asyncio, itertools, os, sys
from pathlib import Path
from pipeline.outbox.sqlite import open_outbox
from tests.outbox.support import arrival

async def accept(outbox, keys):
    for key in keys:
        await outbox.intake.accept(arrival(key))
        os.write(1, key.encode() + b"\\n")

async def main():
    keys = (f"{sys.argv[2]}-{n}" for n in itertools.count())
    async with open_outbox(Path(sys.argv[1])) as outbox:
        await asyncio.gather(*(accept(outbox, keys) for _ in range(8)))

asyncio.run(main())
"""


async def _killed(path: Path, run: int, after: int) -> list[str]:
    """Run the program until it has printed so many keys; give all that it has printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, str(path), str(run), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    printed = b""
    try:
        async with asyncio.timeout(LONG):
            while printed.count(b"\n") < after:
                chunk = await process.stdout.read(4096)
                assert chunk, "it ended by itself"
                printed += chunk
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    printed += await process.stdout.read()
    await process.wait()
    return printed.decode().split("\n")[:-1]


async def test_every_acknowledged_message_is_in_the_file_after_kill_9(path: Path) -> None:
    """A 200 means: on disk."""
    chance = random.Random(20261121)
    acknowledged: set[str] = set()
    for run in range(4):
        keys = await _killed(path, run, after=chance.randrange(1, 800))
        assert keys
        acknowledged.update(keys)
        stored = {key for (key,) in look(path, "SELECT key FROM event")}
        assert acknowledged <= stored
        conserved(path)
    async with open_outbox(path) as outbox:
        for key in sorted(acknowledged)[:20]:
            assert (await outbox.intake.accept(arrival(key))).duplicate
    assert look(path, "PRAGMA integrity_check") == [("ok",)]
