"""What all tests need: tools that fit the aiohttp of today and machines of any speed."""

import inspect
from types import SimpleNamespace
from typing import Any

import aiohttp
import aioresponses.core
from hypothesis import settings

# How fast a machine is, is nothing that an example could show.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


class _Response(aiohttp.ClientResponse):
    """Made without the writer that aiohttp 3.14 asks for and aioresponses 0.7.9 does not give."""

    def __init__(self, *args: Any, stream_writer: Any = None, **kwargs: Any) -> None:
        writer: Any = stream_writer or SimpleNamespace(output_size=0)
        super().__init__(*args, stream_writer=writer, **kwargs)


if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
    setattr(aioresponses.core, "ClientResponse", _Response)  # noqa: B010 - not exported by name
