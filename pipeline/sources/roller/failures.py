"""What ROLLER's refusals ask for; their bodies have no known shape."""

from pipeline.errors import Reject, Retry, Throttled, Unauthorized
from pipeline.plugin import Reply

_FORBIDDEN = 403
_THROTTLED = 429
#: Endpoints that ask for one thing, which may be forbidden while the others are not.
_OF_ONE = {"/guests", "/bookings"}
_AGAIN = {408, 425, *range(500, 600)}

#: "Exceeding the limit → a cooling-off penalty of 60 seconds": ROLLER's documentation.
_COOLING_OFF = 60.0


def failure(reply: Reply, path: str) -> Exception:
    """Make the exception that an answer asks for."""
    endpoint = "/" + path.split("/")[1].split("?", maxsplit=1)[0]
    reason = f"ROLLER answered {reply.status} to {endpoint}"
    if reply.status == _THROTTLED:
        return Throttled(reason, after=max(reply.retry_after or 0.0, _COOLING_OFF))
    if reply.status == _FORBIDDEN and endpoint in _OF_ONE:
        return Retry(f"{reason}: does the API key lack the permission for it?")
    if reply.status == _FORBIDDEN:
        return Unauthorized(f"{reason}: the API key lacks the permission for it")
    if reply.status in _AGAIN:
        return Retry(reason, after=reply.retry_after)
    return Reject(reason)
