"""Somebody who uses `pipeline webhooks` in front of a simulated ROLLER."""

import asyncio

import pytest

from pipeline.cli import main
from tests.e2e.holder import Holder
from tests.e2e.world import KEY, World

_SECRETS = (KEY, "sandbox-leeds-secret", "-token-", "hunter2", "s3cret")


class Said:
    """What a command said, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err


class Desk:
    """Somebody who uses the command."""

    def __init__(self, here: World, capsys: pytest.CaptureFixture[str]) -> None:
        self.here = here
        self.roller = Holder(here)
        self.url = f"http://{here.listen}/webhooks/leeds"
        self._capsys = capsys

    async def run(self, *arguments: str) -> Said:
        """Run it, and see that it shows no secret."""
        self._capsys.readouterr()
        command = ["webhooks", *arguments, "--config", str(self.here.path)]
        code = await asyncio.to_thread(main, command)
        out, err = self._capsys.readouterr()
        assert not [secret for secret in _SECRETS if secret in out + err]
        return Said(code, out, err)

    async def calls(self) -> list[str]:
        """Give the changes that ROLLER was asked for."""
        log = await self.here.requests("roller")
        return [
            one["method"] for one in log
            if one["path"].startswith("/webhooks") and one["method"] != "GET"
        ]  # fmt: skip

    async def emptied(self) -> None:
        """Delete what the sandbox begins with."""
        for one in await self.roller.all():
            await self.roller.delete(one["webhookId"])
