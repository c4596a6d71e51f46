"""JSON documents in and out of a simulated API."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

#: A JSON object as it stands on the wire. The vendors' documents are kept in this form, because
#: a user may give any of them any field, odd ones included.
Document = dict[str, object]


def documents(value: object) -> list[Document]:
    """The objects in what should be an array of objects."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


class Refused(Exception):
    """A request that the simulated vendor refuses; each vendor words it in its own error shape."""

    def __init__(
        self, status: int, message: str | list[str], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.headers = headers


def reply(
    document: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON answer; Structs and plain documents alike."""
    return web.json_bytes_response(
        document, dumps=msgspec.json.encode, status=status, headers=headers
    )


async def read_document(request: web.Request) -> Document:
    """The JSON object in the body; raises `Refused` with 400 for everything else."""
    if request.content_type != "application/json":
        raise Refused(400, ["body must be sent as application/json"])
    try:
        document: object = msgspec.json.decode(await request.read())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Refused(400, [f"body is not JSON: {exc}"]) from exc
    if not isinstance(document, dict):
        raise Refused(400, ["body must be an object"])
    return document
