"""What all tests need: tools that fit the aiohttp of today and machines of any speed."""

import gc
import importlib
import inspect
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import aioresponses.core
import pytest
from hypothesis import settings

# How fast a machine is, is nothing that an example could show.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


#: A disk in memory, where there is one, and the bytes that must be free there. The tests make a
#: thousand small outboxes, and on a real disk wait for each flush, of which none could show
#: anything: what a process that is killed has written, the system has.
_MEMORY = "/dev/shm"  # noqa: S108 - within it pytest makes a folder that is the user's own
_ROOM = 1 << 30


def _has_room(folder: str) -> bool:
    return os.access(folder, os.W_OK | os.X_OK) and shutil.disk_usage(folder).free >= _ROOM


if "TMPDIR" not in os.environ and _has_room(_MEMORY):
    os.environ["TMPDIR"] = _MEMORY  # as an environment also for what the tests start
    tempfile.tempdir = None  # it may have been looked up before

# Nobody here is reached by TLS, and each process would read the machine's certificates, twice.
os.environ["SSL_CERT_FILE"] = os.devnull


def pytest_collection(session: pytest.Session) -> None:
    """Import the tests from another place on in each process.

    What one has compiled by then the others read. From the same place on, as they would by
    themselves, each of them would compile all.
    """
    process = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    folders = [Path(given).resolve() for given in session.config.args if Path(given).is_dir()]
    files = sorted(file for folder in folders for file in folder.rglob("test_*.py"))
    first = len(files) * int(process) // processes
    for file in files[first:] + files[:first]:
        # What is wrong with a file, pytest says when it comes to it.
        with suppress(Exception, pytest.skip.Exception):
            name = ".".join(file.relative_to(session.config.rootpath).with_suffix("").parts)
            importlib.import_module(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what mostly waits; at the end there would be nothing to do beside it."""
    items.sort(key=lambda item: item.get_closest_marker("waits") is None)


# Until then hardly anything is garbage: modules and tests are made, and all of them stay.
gc.disable()


def pytest_collection_finish() -> None:
    """Have no collection of garbage look again at the tests themselves, which stay to the end."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Look once for what the last tests left open, which pytest and Python do many times more."""
    gc.collect()
    gc.freeze()


class _Response(aiohttp.ClientResponse):
    """Made without the writer that aiohttp 3.14 asks for and aioresponses 0.7.9 does not give."""

    def __init__(self, *args: Any, stream_writer: Any = None, **kwargs: Any) -> None:
        writer: Any = stream_writer or SimpleNamespace(output_size=0)
        super().__init__(*args, stream_writer=writer, **kwargs)


if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
    setattr(aioresponses.core, "ClientResponse", _Response)  # noqa: B010 - not exported by name
