"""The commands: their exit codes, and what they say when something is wrong."""

import asyncio
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from pipeline import __version__
from pipeline.cli import main, parser
from pipeline.config import load
from pipeline.status import Status
from tests.e2e.world import World, free_address, world

_ROOT = Path(__file__).parents[2]

_RIGHT = """
[server]
listen = "{listen}"
admin = "{admin}"
[sources.leeds]
type = "roller"
client_id = "id"
client_secret = {{ env = "TEST_ROLLER_SECRET" }}
webhook_key = "key"
[destinations.stampede]
type = "stampede"
client_id = "id"
client_secret = "secret"
venues = {{ leeds = "A1B2C3D4E5F6" }}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration without mistakes, for a daemon that is not running."""
    monkeypatch.setenv("TEST_ROLLER_SECRET", "secret")
    path = tmp_path / "config.toml"
    path.write_text(_RIGHT.format(listen=free_address(), admin=free_address()))
    return path


def test_a_wrong_configuration_is_refused_with_every_error_and_its_path(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever sets this up should need one round, not one for each mistake."""
    text = config.read_text()
    text = text.replace("A1B2C3D4E5F6", "too-short").replace("TEST_ROLLER_SECRET", "NOT_SET")
    text = text.replace('client_id = "id"', 'client-id = "id"', 1)
    config.write_text(text + '\n[retry]\nfirst = "2 seconds"\n[outbox]\npath = "outbox.db"\n')
    outbox = config.with_name("outbox.db")
    outbox.write_bytes(b"not to be touched")
    for command in ("run", "check", "status"):
        assert main([command, "--config", str(config)]) == 78
        lines = capsys.readouterr().err.splitlines()
        for path in (
            "sources.leeds.client-id",
            "sources.leeds.client_id",
            "sources.leeds.client_secret",
            "destinations.stampede.venues.leeds",
            "retry.first",
        ):
            assert [line for line in lines if f"config.toml: {path}: " in line], path
        assert not [line for line in lines if "Traceback" in line]
    assert outbox.read_bytes() == b"not to be touched"


@pytest.mark.parametrize(
    ("text", "said"),
    [("server = [", "is not TOML"), (None, "there is no such file"), (b"\xff", "is not UTF-8")],
    ids=["not TOML", "missing", "not text"],
)
def test_a_file_that_is_no_configuration_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | bytes | None, said: str
) -> None:
    """The first mistake of all is the wrong file."""
    path = tmp_path / "config.toml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["check", "--config", str(path)]) == 78
    assert said in capsys.readouterr().err


def test_a_wrong_configuration_is_a_document_too(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script that reads --json gets some, and a person the lines as ever."""
    config.write_text(
        config.read_text().replace("A1B2C3D4E5F6", "short").replace("leeds]", "lees]")
    )
    assert main(["check", "--json", "--config", str(config)]) == 78
    out, err = capsys.readouterr()
    found = msgspec.json.decode(out)
    assert found["ok"] is False
    assert {(one["verdict"], one["where"]) for one in found["checks"]} == {
        ("failed", "destinations.stampede.venues.leeds")
    }
    assert len(found["checks"]) == len(err.splitlines()) == 2
    missing = config.with_name("none.toml")
    assert main(["check", "--json", "--config", str(missing)]) == 78
    [only] = msgspec.json.decode(capsys.readouterr().out)["checks"]
    assert only["where"] == str(missing)
    assert only["note"].startswith("there is no such file")


@pytest.mark.parametrize("first", [True, False])
def test_the_configuration_may_be_named_before_or_after_the_action(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """Nobody remembers which."""
    monkeypatch.chdir(config.parent.parent)
    where = ["--config", str(config)]
    arguments = ["events", *where, "list"] if first else ["events", "list", *where]
    assert main(arguments) == 1
    assert f"there is no outbox at {config.with_name('outbox.db')}" in capsys.readouterr().err


def test_check_accepts_a_right_one_and_warns_of_secrets_in_plain_text(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It works, and still is not as it should be."""
    config.write_text(config.read_text() + 'registration_path = "/r"\n')
    assert main(["check", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "sources.leeds.webhook_key" in shown
    assert "plain text" in shown
    assert "destinations.stampede.registration_path" in shown
    assert not config.with_name("outbox.db").exists()


def test_status_without_a_daemon_reads_the_outbox_and_exits_with_69(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script must be able to tell "not running" from "nothing to do"."""
    assert main(["status", "--json", "--config", str(config)]) == 69
    found = msgspec.json.decode(capsys.readouterr().out, type=Status)
    assert (found.running, found.ready) == (False, False)
    assert found.events["accepted"] == 0
    assert main(["status", "--config", str(config)]) == 69


async def test_status_asks_the_running_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same document for a person, for a script, and over HTTP."""
    async with world(tmp_path) as here, here.running():
        await here.book(booking={})
        await here.settled()
        for extra in ([], ["--json"]):
            arguments = ["status", "--config", str(here.path), *extra]
            assert await asyncio.to_thread(main, arguments) == 0
        shown = capsys.readouterr().out
    document = msgspec.json.decode(shown[shown.index("{\n") :])
    assert document["running"] is True
    assert document["events"]["accepted"] == document["events"]["done"] == 1
    assert document["destinations"]["stampede"]["budget"]["requests"] == 5000
    assert document["sources"]["leeds"]["webhook"] == "unknown"


def test_an_outbox_of_a_newer_version_is_refused_untouched(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An old program must not guess at a new file."""
    outbox = config.with_name("outbox.db")
    with sqlite3.connect(outbox) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = outbox.read_bytes()
    assert main(["run", "--config", str(config)]) == 1
    assert "schema version 99" in capsys.readouterr().err
    assert outbox.read_bytes() == before


async def test_an_address_that_is_taken_is_named(here: World) -> None:
    """The commonest reason why a daemon does not start is that it runs already."""
    async with here.running():
        other = here.folder / "other.toml"
        other.write_text(here.path.read_text().replace("outbox.db", "other.db"))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pipeline", "run", "--config", str(other),
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await process.communicate()
    assert process.returncode == 1
    assert here.admin in said.decode() or here.admin.split(":")[1] in said.decode()
    assert "Traceback" not in said.decode()


def test_the_demo_accounts_for_everything() -> None:
    """The first thing that anybody tries."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "demo", "--bookings", "6"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 4
    assert "100 in 15 minutes" in done.stdout
    sent, taken_in, repeated = (
        int(found[1])
        for pattern in (r"sent (\d+) webhooks", r"accepted (\d+) =", r"(\d+) more came a second")
        if (found := re.search(pattern, done.stdout))
    )
    assert sent == taken_in + repeated, "whoever adds up wants it to come out"
    assert re.search(r"\d ignored, no booking: .* before their first booking", done.stdout), (
        "whoever sees that a third came to nothing wants to know why"
    )


async def test_a_demo_that_is_ended_leaves_nothing_behind() -> None:
    """A daemon that nobody knows of would hold its ports, and its folder."""
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pipeline", "demo", "--bookings", "1", "--keep",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
    )  # fmt: skip
    assert demo.stdout is not None
    children: list[str] = []
    try:
        async with asyncio.timeout(30):
            said = (await demo.stdout.readuntil(b"Ctrl-C ends.")).decode()
        folder = Path(re.findall(r"/\S*pipeline-demo-\w+", said)[0])
        children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        demo.terminate()
        async with asyncio.timeout(20):
            _, complaint = await demo.communicate()
        assert (demo.returncode, complaint) == (130, b"")
        assert len(children) == 1
        assert not Path(f"/proc/{children[0]}").exists()
        assert not folder.exists()
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.communicate()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that has a typo must not look like one that failed."""
    for arguments in (["nonsense"], [], ["demo", "--bookings", "0"], ["sandbox", "--roller", "x"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
    capsys.readouterr()


def test_help_names_every_command_and_exit_code() -> None:
    """The help is the first page that a person reads."""
    text = parser().format_help()
    for word in (
        "demo",
        "run",
        "check",
        "preview",
        "webhooks",
        "status",
        "sandbox",
        "78",
        "69",
        "130",
    ):
        assert word in text


def test_each_command_that_the_help_names_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Each is imported by itself, and must be found where it is looked for."""
    names = re.findall(r"^    ([a-z]+)  ", parser().format_help(), re.MULTILINE)
    assert {"run", "events", "restore", "simulate"} < set(names)
    for name in names:
        with pytest.raises(SystemExit) as stopped:
            main([name, "--help"])
        assert stopped.value.code == 0
        assert capsys.readouterr().out.startswith(f"Usage: pipeline {name} ")


_IMPORTED = """
import sys
from pipeline.cli import main
for arguments, heavy in (
    (["--version"], "msgspec aiohttp pipeline.config"),
    (["status", "--help"], "pipeline.assembly"),
):
    try:
        main(arguments)
    except SystemExit as stopped:
        assert stopped.code == 0
    print(*[name for name in heavy.split() if name in sys.modules])
"""


def test_a_command_imports_nothing_that_others_need() -> None:
    """Whoever asks every minute how it is doing would wait, and heat the machine, for nothing."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED], capture_output=True, text=True, check=True
    )
    shown = done.stdout.splitlines()
    assert (shown[0], shown[1], shown[-1]) == (f"pipeline {__version__}", "", "")


def test_the_shipped_configuration_is_right(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """People start from it; its comments show the defaults, so they must load too."""
    for name in ("ROLLER_LEEDS_SECRET", "ROLLER_LEEDS_WEBHOOK_KEY", "STAMPEDE_SECRET"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("PIPELINE_ADMIN_TOKEN", "token")
    shipped = (_ROOT / "config.toml").read_text()
    (tmp_path / "config.toml").write_text(shipped)
    plain = load(tmp_path / "config.toml")
    lines = [line.removeprefix("# ") if " = " in line else line for line in shipped.splitlines()]
    lines = [line for line in lines if not line.startswith("A secret is")]
    (tmp_path / "full.toml").write_text("\n".join(lines))
    full = load(tmp_path / "full.toml")
    assert full.outbox == plain.outbox
    assert full.retry == plain.retry
    limits = [config.destinations["stampede"].rate_limit for config in (full, plain)]
    assert [(one.requests, float(one.per), one.reserved) for one in limits] == [
        (100, 900.0, 20)
    ] * 2
    assert list(plain.warnings()) == []


def test_every_command_in_the_readme_exists() -> None:
    """A page that lies about its first command is not read further."""
    readme = (_ROOT / "README.md").read_text()
    targets = (_ROOT / "Makefile").read_text()
    for line in readme.splitlines():
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in targets
    for word in ("sandbox", "check", "preview", "run"):
        assert f".venv/bin/pipeline {word}" in readme
        assert f"    {word}" in parser().format_help()
    assert len(readme.splitlines()) <= 120


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_the_systemd_unit_is_valid() -> None:
    """A unit that does not load is found at the next reboot."""
    unit = _ROOT / "systemd" / "pipeline.service"
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )
    assert (done.returncode, done.stderr) == (0, "")
