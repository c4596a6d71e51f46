"""The simulated Stampede answers as the sandbox does over HTTP."""

from collections.abc import Iterator

import aiohttp
import msgspec
import pytest

from pipeline.plugin import Call, Reply
from pipeline.sandbox.faults import Fault
from pipeline.sandbox.serve import serve
from pipeline.sandbox.settings import StampedeSettings
from pipeline.sandbox.stampede import stampede_app
from pipeline.simulation.network import Lost
from pipeline.simulation.stampede import SimulatedStampede
from tests.sandbox.support import Clock, booking, guest

_SETTINGS = StampedeSettings(requests=14, token_lifetime=3600)
_HERE = "http://peer.example"


def _calls() -> Iterator[tuple[str, str, object]]:
    """All that the pipeline asks, in a good and in a bad form, and then too much."""
    secret = {"client_id": _SETTINGS.client_id, "client_secret": _SETTINGS.client_secret}
    yield "GET", "/v1/guests", None
    yield "POST", "/oauth/token", secret
    yield "POST", "/oauth/token", secret | {"grant_type": "client_credentials"}
    yield "POST", "/v1/guests", guest()
    yield "POST", "/v1/guests", guest(first="Eve")
    yield "POST", "/v1/guests", {"email": "no"}
    yield "GET", "/v1/guests?search=ada%40example.com", None
    yield "POST", "/v1/guests/{id}/booking", booking()
    yield "POST", "/v1/guests/{id}/booking", booking(venue_id="?")
    yield "PUT", "/v1/guests/{id}/tags", {"name": "Confirmed"}
    yield "DELETE", "/v1/guests/{id}/tags/by-name", {"tag_name": "Confirmed"}
    yield "PUT", "/v1/guests/nobody/tags", {"name": "Confirmed"}
    yield "POST", "/v1/nowhere", {}
    yield "GET", "/v1/venues", None
    yield "GET", "/v1/venues", None


async def test_answers_are_those_of_the_sandbox() -> None:
    """A simulation of another Stampede than the tested one would prove nothing."""
    clock = Clock()
    simulated = SimulatedStampede(_SETTINGS, clock)
    token = guest_id = ""
    statuses = []
    async with (
        serve(stampede_app(_SETTINGS, clock)) as url,
        aiohttp.ClientSession() as session,
    ):
        for method, path, document in _calls():
            path = path.replace("{id}", guest_id)  # noqa: PLW2901 - known from an answer
            body = None if document is None else msgspec.json.encode(document)
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            call = Call(method=method, url=_HERE + path, headers=headers, body=body)
            reply = await simulated.take(call)
            async with session.request(method, url + path, headers=headers, data=body) as answer:
                assert (reply.status, reply.body) == (answer.status, await answer.read()), path
                pause = answer.headers.get("Retry-After")
                assert reply.retry_after == (float(pause) if pause else None)
            statuses.append(reply.status)
            said = msgspec.json.decode(reply.body)
            token = said.get("access_token", token)
            guest_id = guest_id or (said["id"] if reply.status == 201 else "")
    assert statuses == [401, 400, 200, 201, 200, 400, 200, 201, 400, 200, 200, 404, 404, 200, 429]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("500", 500), ("garbage", 200), ("reset", None)],
)
async def test_faults_strike_as_in_the_sandbox(kind: str, expected: int | None) -> None:
    """They are what a lane must outlive."""
    simulated = SimulatedStampede(_SETTINGS, Clock())
    simulated.fault(Fault(kind=kind, count=1))
    call = Call(method="GET", url=f"{_HERE}/v1/venues")
    reply: Reply | None = None
    if expected is None:
        with pytest.raises(Lost):
            _ = await simulated.take(call)
    else:
        reply = await simulated.take(call)
    assert (reply and reply.status) == expected
    assert (await simulated.take(call)).status == 401
    assert simulated.requests == 2
