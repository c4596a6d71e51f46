"""What is said when ROLLER answers 403: a key has a permission for each endpoint."""

import msgspec
from msgspec import Struct

from pipeline.plugin import Reply

FORBIDDEN = 403

#: Where a key gets its permissions.
KEYS = "Venue Manager > Settings > Integrations > API keys"


class _Error(Struct, frozen=True):
    name: str = ""


class _Errors(Struct, frozen=True):
    errors: list[_Error] = []


_errors = msgspec.json.Decoder(_Errors)


def forbidden(reply: Reply, called: str) -> tuple[str, str]:
    """Say which permission the key lacks, and what to do."""
    name = _error_name(reply.body)
    return (
        f"ROLLER answered 403{f' {name}' if name else ''}: the key lacks the permission",
        f"give the key the permission for {called} at {KEYS}; it takes about a minute",
    )


def _error_name(body: bytes) -> str:
    """Give the name in `{"errors": [{"name": …}]}`, the one shape of an error that is known."""
    try:
        errors = _errors.decode(body).errors
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    name = errors[0].name if errors else ""
    return name if name.isascii() and name.isidentifier() else ""
