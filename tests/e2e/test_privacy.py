"""Nobody's name, address or number, and no secret, is anywhere but where it has to be."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pipeline.cli import main
from pipeline.client import call
from tests.e2e.holder import Holder
from tests.e2e.world import World, world

#: In every field of a guest, each with a word that is nowhere else.
_GUEST = {
    "firstName": "Markerfirst",
    "lastName": "Markerlast",
    "email": "marker.mail@example.com",
    "phone": "+44 7400 123456",
    "gender": "Female",
    "dateOfBirth": "1980-02-03",
    "address": {"street": "1 Marker Street", "suburb": "Markerby", "postcode": "MK1 2RK"},
}

#: In every field of a booking where a person may write something.
_BOOKING = {
    "name": "Markerbooker",
    "comments": "call Markercomment",
    "posNotes": "Markernote",
}

#: What no documentation has, and what somebody has typed as a key.
_UNFORESEEN = {
    "nickname": "Markernick",
    "marker.key@example.com": 1,
    "Markerkey Markerlast": {"Markerdeep": "x"},
    "metadata": {"Markermeta": "Markervalue"},
}
#: A visit that is over, with tickets.
_PAST = [
    {
        "bookingItemId": 1, "productId": 7158455, "quantity": 2, "bookingDate": "2026-01-01",
        "sessionStartTime": "10:00", "sessionEndTime": "11:00",
    }
]  # fmt: skip

#: What Stampede's answers may be, so that a sentence in which one is told of could show a person.
_FAULTS = ("400", "500", "garbage", "reset")

#: The name of a field, which a peer may quote, is none.
_SECRET = re.compile(r"(?<!\bclient_)secret|marker|7400\s?123456|1980-02-03|MK1", re.IGNORECASE)


async def _said(here: World) -> dict[str, str]:
    """Collect all that the daemon shows while it runs."""
    said = {}
    for path in ("/metrics", "/api/status", "/api/events?limit=1000", "/api/deliveries?limit=1000"):
        said[path] = (await call(here.config.server, "GET", path) or b"").decode()
    for what in ("events", "deliveries"):
        for row in msgspec.json.decode(said[f"/api/{what}?limit=1000"]):
            path = f"/api/{what}/{row['id']}"
            said[path] = (await call(here.config.server, "GET", path) or b"").decode()
    for view in ("events", "deliveries", "attempts", "parked", "backlog", "budget"):
        said[view] = repr(here.rows(f"SELECT * FROM {view}"))
    said["noted"] = repr(here.rows("SELECT * FROM noted"))
    return said


async def _commands(here: World) -> None:
    yesterday = str(datetime.now(UTC).date() - timedelta(days=1))
    ids = [row[0] for row in here.rows("SELECT id FROM events UNION SELECT id FROM deliveries")]
    for arguments in (
        ["status"],
        ["events", "list"],
        ["deliveries", "list"],
        ["reconcile", "--json"],
        ["backfill", "--since", yesterday, "--dry-run"],
        ["backfill", "--since", yesterday, "--guests-only", "--yes"],
        ["webhooks", "list"],
        ["webhooks", "list", "--json"],
        ["webhooks", "register", "--url", f"http://{here.listen}"],
        *(["explain", name] for name in ids),
    ):
        await asyncio.to_thread(main, [*arguments, "--config", str(here.path)])


async def _each_meets_a_fault(here: World) -> None:
    """Book for a guest per kind of trouble at Stampede, and wait until it is told or refused."""
    for fault in _FAULTS:
        guest = await here.guest(**_GUEST | {"email": f"marker.{fault}@example.com"})
        faults = {"kind": fault, "path": "/v1/", "count": 6, "quotes": True}
        await here.control("stampede", "faults", faults)
        await here.book(booking={"customerId": guest, "items": _PAST, **_BOOKING, **_UNFORESEEN})
        await here.settled()
        await here.clear_faults("stampede")


async def test_no_surface_shows_a_person_or_a_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Logs are kept for years, screens are photographed, and metrics leave the house."""
    async with world(tmp_path, everything=True) as here:
        refused = {"kind": "500", "path": "/oauth/token", "count": 1, "quotes": True}
        await here.control("stampede", "faults", refused)
        async with here.running():
            customer = await here.guest(**_GUEST)
            booking = {
                "customerId": customer,
                "uniqueId": "one",
                "items": _PAST,
                **_BOOKING,
                **_UNFORESEEN,
            }
            await here.book(booking=booking)
            await here.heard()
            await here.change(customer, lastName="Markerchanged")
            child = {"firstName": "Markerchild", "flags": [{"comment": "Markerflag"}]}
            await here.sign(customerId=customer, minors=[child], booking="one")
            await here.redeem("one", redemption={"photoUrl": "https://example.com/Marker.jpg"})
            for kind in (3, 4, 7):
                body = b'{"id": "%d", "type": %d, "eventType": 1, "data": "Markerbad"}'
                assert await here.post(body % (kind, kind)) == 200
            assert await here.post(b'{"id": "1", "name": "Markerbad", "type": {}}') == 200
            assert await here.post(b"Markerbad", key="Markerkey") == 503
            await _each_meets_a_fault(here)
            # Somebody else's, with a key in its path as chat tools have them.
            customers = {"customer": {"events": ["Created"]}}
            await Holder(here).add("http://127.0.0.1:9/Markerpath?Markerkey", webhooks=customers)
            assert await call(here.config.server, "POST", "/api/sources/leeds/look", body={})
            # Of these, no webhook tells.
            await here.book(booking={"customerId": customer, **_BOOKING}, send=False)
            await here.control("roller", "waivers", {"guest": _GUEST, "minors": 1, "send": False})
            await asyncio.to_thread(main, ["reconcile", "--config", str(here.path)])
            await here.settled()
            said = await _said(here)
            said["sweep"] = repr(here.rows("SELECT * FROM sweep"))
            await _commands(here)
        found = capsys.readouterr()
        said |= {"stdout": found.out, "stderr": found.err}
        guests = (await here.state("stampede"))["guests"]
    shown = {where: match[0] for where, text in said.items() if (match := _SECRET.search(text))}
    assert shown == {}
    assert len(said) > 12
    failed = [line for line in found.err.splitlines() if '"peer failed"' in line]
    assert any("client_secret" in line for line in failed), "what a peer quotes was looked at"
    for name in {"mail", *_FAULTS} - {"400"}:
        assert f"marker.{name}@example.com" in repr(guests), "it was told to whom it has to be"
    outcomes = {name for (name,) in here.rows("SELECT outcome FROM attempts")}
    assert outcomes >= {"rejected", "retry", "unknown"}, "what went wrong was looked at"


async def test_one_id_leads_from_the_webhook_to_its_requests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever looks for a booking in the log searches for its event."""
    async with world(tmp_path) as here:
        async with here.running():
            await here.book(booking={})
            await here.settled()
            await here.book(booking={"status": "Draft"})
            await here.settled()
        lines = [msgspec.json.decode(line) for line in capsys.readouterr().err.splitlines()]
    story = [line["message"] for line in lines if line.get("event") == 1]
    assert story[:3] == ["received", "enriched", "delivered"]
    requests = {line["attempt"] for line in lines if line["message"] == "delivered"}
    assert {f"a{number}" for number in requests} <= {
        row[0] for row in here.rows("SELECT id FROM attempts WHERE delivery IS NOT NULL")
    }
    assert "skipped" in [line["message"] for line in lines if line.get("event") == 2]
