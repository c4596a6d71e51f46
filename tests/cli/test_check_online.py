"""`pipeline check --online`, against simulated APIs on real sockets."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.cli import main
from pipeline.sandbox.settings import StampedeVenue
from tests.e2e.holder import Holder
from tests.e2e.world import KEY, World, free_address, world

_SECRETS = (KEY, "sandbox-leeds-secret", "sandbox-stampede-secret", "-token-", "hunter2", "s3cret")


@pytest.fixture
async def tidy(here: World) -> World:
    """A world that has nothing to complain of but secrets in its configuration."""
    here.path.chmod(0o600)
    await Holder(here).alone(f"http://{here.listen}/webhooks/leeds")
    return here


class Checked:
    """The document of one check."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        self.document: Any = msgspec.json.decode(text)

    def verdicts(self, what: str) -> list[str]:
        """Give the verdicts on a part."""
        return [one["verdict"] for one in self.document["checks"] if one["what"] == what]

    def only(self, what: str) -> tuple[str, str]:
        """Give the only finding on a part: its verdict and its sentences."""
        [found] = [one for one in self.document["checks"] if one["what"] == what]
        return found["verdict"], f"{found['note']} → {found['advice']}"


async def _check(here: World, capsys: pytest.CaptureFixture[str]) -> Checked:
    capsys.readouterr()
    arguments = ["check", "--online", "--json", "--config", str(here.path)]
    code = await asyncio.to_thread(main, arguments)
    out, err = capsys.readouterr()
    # The log of a daemon that a test runs beside it comes this way as well.
    assert not [line for line in err.splitlines() if not line.startswith('{"at"')]
    assert not [secret for secret in _SECRETS if secret in out]
    return Checked(code, out)


async def _missing(here: World, peer: str, *permissions: str) -> None:
    await here.control(peer, "permissions", {"missing": permissions})


async def _webhook(here: World, url: str, **changes: object) -> int:
    """Subscribe something at ROLLER, as whoever holds the credentials may."""
    return await Holder(here).add(url, **{"authentication": {"apiKey": "hunter2"}} | changes)


async def test_what_is_right_is_said_to_be_right(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 0 with each part named, so that one sees what was tried."""
    found = await _check(tidy, capsys)
    assert (found.code, found.document["ok"]) == (0, True)
    for what in (
        "venues/me",
        "guests/{guestId}",
        "bookings/{uniqueId}",
        "products",
        "data/customers",
        "data/signedwaivers",
    ):
        assert found.only(f"GET /{what}")[0] == "ok"
    assert found.only("venue")[1].startswith("Sandbox Leeds: Europe/London, GBP, GB")
    assert found.only("webhooks")[0] == found.only("GET /v1/venues")[0] == "ok"
    assert found.only("venues.leeds")[1].startswith("A1B2C3D4E5F6 is Sandbox Leeds")
    assert found.verdicts("token") == ["ok", "ok"]
    assert found.document["requests"] == {"sources.leeds": 9, "destinations.stampede": 2}


async def test_a_person_gets_a_table_with_what_to_do(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same as the document, in words."""
    await _missing(tidy, "roller", "GET /guests")
    arguments = ["check", "--online", "--config", str(tidy.path)]
    assert await asyncio.to_thread(main, arguments) == 1
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("failed GET /guests/{guestId}", "INSUFFICIENT_SCOPE", "→ give the key", "ok "):
        assert words in shown
    assert not [secret for secret in _SECRETS if secret in shown]


@pytest.mark.parametrize(
    ("secret", "named"),
    [
        ("sandbox-leeds-secret", "sources.leeds.client_id and .client_secret"),
        ("sandbox-stampede-secret", "destinations.stampede.client_id and .client_secret"),
    ],
)
async def test_wrong_credentials_are_named(
    tidy: World, capsys: pytest.CaptureFixture[str], secret: str, named: str
) -> None:
    """A kept token does not hide them, for it belongs to the credentials that fetched it."""
    assert (await _check(tidy, capsys)).code == 0
    tidy.replace(secret, "hunter2")
    found = await _check(tidy, capsys)
    assert found.code == 1
    assert sorted(found.verdicts("token")) == ["failed", "ok"]
    assert named in found.text


@pytest.mark.parametrize(
    ("permission", "what"),
    [
        ("GET /venues", "GET /venues/me"),
        ("GET /guests", "GET /guests/{guestId}"),
        ("GET /bookings", "GET /bookings/{uniqueId}"),
        ("GET /webhooks", "GET /webhooks"),
    ],
)
async def test_a_missing_permission_at_roller_is_named_with_its_endpoint(
    tidy: World, capsys: pytest.CaptureFixture[str], permission: str, what: str
) -> None:
    """Keys have permissions per endpoint; the others are tried all the same."""
    await _missing(tidy, "roller", permission)
    found = await _check(tidy, capsys)
    verdict, text = found.only(what)
    assert (found.code, verdict) == (1, "failed")
    assert "403 INSUFFICIENT_SCOPE" in text
    assert f"the permission for {what}" in text
    assert "failed" not in found.verdicts("token") + found.verdicts("GET /v1/venues")


@pytest.mark.parametrize(
    ("permission", "what", "lacks", "setting"),
    [
        ("GET /products", "GET /products", "add-ons count as people", "products"),
        ("GET /data", "GET /data/bookingitems", "nobody finds what no webhook", "reconcile"),
        ("GET /data", "GET /data/customers", "nobody finds what no webhook", "reconcile"),
        ("GET /data", "GET /data/signedwaivers", "no backfill begins", "waivers"),
    ],
)
async def test_a_key_that_may_not_ask_for_what_can_be_spared_is_warned_of(
    tidy: World,
    capsys: pytest.CaptureFixture[str],
    permission: str,
    what: str,
    lacks: str,
    setting: str,
) -> None:
    """Bookings go without it; whoever wants it so can say so."""
    await _missing(tidy, "roller", permission)
    found = await _check(tidy, capsys)
    verdict, text = found.only(what)
    assert (found.code, verdict) == (0, "warning")
    assert lacks in text
    tidy.replace('waivers = "1d"\n', "")
    tidy.replace("webhook_key =", f'{setting} = "off"\nwebhook_key =')
    assert what not in (await _check(tidy, capsys)).text


async def test_a_missing_permission_at_stampede_is_named(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """In Stampede's own words, for it publishes no name for it."""
    await _missing(tidy, "stampede", "GET /v1/venues")
    found = await _check(tidy, capsys)
    verdict, text = found.only("GET /v1/venues")
    assert (found.code, verdict) == (1, "failed")
    assert "403: Forbidden" in text
    assert "may use GET /v1/venues" in text


async def test_details_that_differ_from_the_configuration_are_a_warning(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The configuration goes first, so a slip in it makes every amount wrong."""
    line = 'client_id = "sandbox-leeds"'
    tidy.replace(line, f'{line}\ncurrency = "EUR"\ntimezone = "Europe/London"')
    found = await _check(tidy, capsys)
    assert (found.code, found.verdicts("venue")) == (0, ["warning", "ok"])
    assert "currency is GBP at ROLLER and EUR in the configuration" in found.text
    assert "Europe/London (configured), GB" in found.text


async def test_details_that_nobody_tells_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bookings would wait for them without end."""
    async with world(tmp_path) as here:
        [venue] = here.settings.roller.venues
        odd = msgspec.structs.replace(venue, iana_time_zone="(UTC+00:00) London")
    async with world(tmp_path, venues=(odd,)) as here:
        found = await _check(here, capsys)
    assert (found.code, found.verdicts("venue")) == (1, ["failed", "ok"])
    assert "set sources.leeds.timezone" in found.text


@pytest.mark.parametrize(
    ("serial", "advice"),
    [("Z9Z9Z9Z9Z9Z9", "`pipeline venues` lists them"), ("a1b2c3d4e5f6", '= "A1B2C3D4E5F6"')],
)
async def test_a_serial_that_stampede_does_not_know_fails(
    tidy: World, capsys: pytest.CaptureFixture[str], serial: str, advice: str
) -> None:
    """Every booking of the venue would park."""
    tidy.replace('leeds = "A1B2C3D4E5F6"', f'leeds = "{serial}"')
    found = await _check(tidy, capsys)
    assert (found.code, found.only("venues.leeds")[0]) == (1, "failed")
    assert advice in found.only("venues.leeds")[1]


async def test_a_serial_on_a_later_page_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The links are cursors; each page is a request, and counted."""
    venues = tuple(StampedeVenue(id=f"VENUE{n:07}", name=f"Venue {n}") for n in range(5))
    async with world(tmp_path, stampede={"venues": venues, "venues_page": 2}) as here:
        here.replace("VENUE0000000", "VENUE0000004")
        found = await _check(here, capsys)
    assert found.only("venues.leeds") == ("ok", "VENUE0000004 is Venue 4 → ")
    assert found.document["requests"]["destinations.stampede"] == 4


async def test_someone_elses_subscription_is_a_warning_that_hides_its_address(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside Stampede's own integration each visit counts twice; addresses may hold secrets."""
    number = await _webhook(tidy, "https://hooks.example.com/in/hunter2?secret=s3cret")
    other = {"customer": {"events": ["Updated"]}}
    _ = await _webhook(tidy, "https://crm.example.com/x", webhooks=other)
    found = await _check(tidy, capsys)
    assert (found.code, found.verdicts("webhooks")) == (0, ["ok", "warning"])
    assert f"webhook {number} to hooks.example.com is not ours" in found.text
    assert "each visit counts twice" in found.text
    assert "crm.example.com" not in found.text


async def test_no_subscription_of_ours_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing would ever arrive, and nothing would ever fail."""
    async with world(tmp_path) as here:
        here.replace("sources.leeds", "sources.york")
        here.replace("leeds = ", "york = ")
        found = await _check(here, capsys)
    assert (found.code, found.verdicts("webhooks")) == (0, ["warning", "warning"])
    assert "set sources.york.public_url to https://YOUR-HOST; then" in found.text


@pytest.mark.parametrize(
    ("changes", "verdict", "said"),
    [
        (
            {"authentication": {"apiKey": "hunter2"}},
            "failed",
            "a key that is not sources.leeds.webhook_key",
        ),
        ({"enabled": False}, "failed", "is disabled: nothing arrives"),
        (
            {"webhooks": {"booking": {"events": ["Created"]}}},
            "warning",
            "leaves out booking Updated, Cancelled; customer Created, Updated",
        ),
    ],
    ids=["key", "off", "events"],
)
async def test_a_subscription_of_ours_that_is_not_as_it_should_be_is_told(
    tidy: World,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    verdict: str,
    said: str,
) -> None:
    """Ours is told by the path that we listen at."""
    await Holder(tidy).alone(f"https://{free_address()}/webhooks/leeds", **changes)
    found = await _check(tidy, capsys)
    assert (found.code, found.only("webhooks")[0]) == (1 if verdict == "failed" else 0, verdict)
    assert said in found.text


async def test_a_second_one_of_ours_is_a_warning(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each booking comes twice, and costs a call at ROLLER each time."""
    _ = await Holder(tidy).add(f"https://{free_address()}/webhooks/leeds")
    found = await _check(tidy, capsys)
    assert (found.code, found.verdicts("webhooks")) == (0, ["ok", "warning"])
    assert "arrives more than once" in found.text


@pytest.mark.parametrize("peer", ["roller", "stampede"])
async def test_a_peer_that_is_not_there_exits_with_69(
    tidy: World, capsys: pytest.CaptureFixture[str], peer: str
) -> None:
    """Time or a firewall may cure that; the other peer is looked at all the same."""
    address = free_address()
    tidy.replace(getattr(tidy.sandbox, peer), f"http://{address}")
    found = await _check(tidy, capsys)
    assert found.code == 69
    assert found.only("connection")[0] == "failed"
    assert f"base_url = http://{address}" in found.only("connection")[1]
    assert found.verdicts("token") == ["ok"]


async def test_a_configuration_that_is_wrong_exits_with_78(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is contacted then."""
    here.replace("A1B2C3D4E5F6", "too short")
    for command in (["check", "--online"], ["venues"]):
        assert await asyncio.to_thread(main, [*command, "--config", str(here.path)]) == 78
    capsys.readouterr()
    assert await here.requests("roller") == await here.requests("stampede") == []


async def test_files_that_are_open_to_others_are_a_warning(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The configuration holds secrets in plain text here."""
    tidy.path.chmod(0o644)
    found = await _check(tidy, capsys)
    assert (found.code, found.only("file mode")[0]) == (0, "warning")
    assert f"chmod 600 {tidy.path}" in found.text


async def test_beside_a_daemon_each_request_is_counted_in_its_allowance(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """One request with the daemon's own token, which is neither renewed nor written."""
    async with tidy.running():
        await tidy.book(booking={})
        before = (await tidy.settled()).destinations["stampede"].budget.used
        tokens = tidy.folder / "outbox.db.tokens"
        kept = tokens.read_bytes()
        found = await _check(tidy, capsys)
        used = (await tidy.status()).destinations["stampede"].budget.used
    assert (found.code, found.document["requests"]["destinations.stampede"]) == (0, 1)
    assert "the running daemon has counted them" in found.text
    assert used == before + 1
    assert tokens.read_bytes() == kept
    assert tidy.rows("SELECT path FROM attempts WHERE note LIKE 'sent by hand%'") == [
        ("/v1/venues",)
    ]


async def test_a_token_that_has_ended_is_renewed_without_touching_the_daemons(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is the daemon's; what it does not hold in memory it would overwrite."""
    async with tidy.running():
        await tidy.book(booking={})
        await tidy.settled()
        for peer in (tidy.sandbox.roller, tidy.sandbox.stampede):
            async with tidy.http.delete(f"{peer}/_sandbox/tokens") as response:
                assert response.status == 200
        kept = (tidy.folder / "outbox.db.tokens").read_bytes()
        found = await _check(tidy, capsys)
        assert (tidy.folder / "outbox.db.tokens").read_bytes() == kept
        await tidy.book(booking={})
        assert (await tidy.settled()).deliveries["parked"] == 0
    assert (found.code, found.verdicts("token")) == (0, ["ok", "ok"])
    assert found.document["requests"] == {"sources.leeds": 10, "destinations.stampede": 3}


async def test_an_outbox_of_another_version_is_left_alone(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing can be counted in it, so nothing that counts is sent."""
    with sqlite3.connect(tidy.outbox) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = tidy.outbox.read_bytes()
    found = await _check(tidy, capsys)
    assert found.only("GET /v1/venues")[0] == "warning"
    assert "has schema version 99, this pipeline knows" in found.text
    assert tidy.outbox.read_bytes() == before
    assert await tidy.requests("stampede") == []


@pytest.mark.parametrize(
    ("folder", "what"), [("none", "its folder"), ("x" * 300, "cannot be looked at")]
)
async def test_an_outbox_that_cannot_be_is_told_in_a_sentence(
    tidy: World, capsys: pytest.CaptureFixture[str], folder: str, what: str
) -> None:
    """A name that is too long stands for all that the system may refuse to look at."""
    tidy.replace('path = "outbox.db"', f'path = "{folder}/outbox.db"')
    found = await _check(tidy, capsys)
    assert (found.code, found.only("outbox")[0]) == (1, "failed")
    assert what in found.only("outbox")[1]


@pytest.mark.parametrize("running", [True, False])
async def test_a_check_leaves_the_reserve_to_bookings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], running: bool
) -> None:
    """However often it is called, and whether or not the daemon runs."""
    async with world(tmp_path, requests=5, per=60.0) as here:
        async with here.running():
            found = [await _check(here, capsys) for _ in range(5 if running else 0)]
        found += [await _check(here, capsys) for _ in range(0 if running else 5)]
        sent = [one["path"] for one in await here.requests("stampede")]
    assert len(sent) == 4
    assert (found[-1].code, found[-1].only("GET /v1/venues")[0]) == (0, "warning")
    assert "reserved for bookings" in found[-1].text
    assert found[-1].document["requests"]["destinations.stampede"] == 0


async def test_a_daemon_that_starts_later_knows_of_a_check(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any fifteen minutes are meant, over restarts too."""
    async with tidy.running():
        pass
    assert (await _check(tidy, capsys)).document["requests"]["destinations.stampede"] == 2
    async with tidy.running():
        assert (await tidy.status()).destinations["stampede"].budget.used == 2


async def test_a_daemon_that_refuses_us_is_told_and_stampede_is_left_alone(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be counted is not sent."""
    tidy.replace("[outbox]", 'admin_token = "sesame"\n[outbox]')
    async with tidy.running():
        tidy.replace('"sesame"', '"another"')
        found = await _check(tidy, capsys)
        tidy.replace('"another"', '"sesame"')
    assert found.only("daemon")[0] == "warning"
    assert "could not be counted" in found.only("GET /v1/venues")[1]
    assert await tidy.requests("stampede") == []


async def test_a_peer_in_trouble_is_told_apart_from_one_that_refuses(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A 429 passes by itself; garbage is for the vendor."""
    _ = await tidy.control("roller", "faults", {"kind": "429", "path": "/guests"})
    _ = await tidy.control("roller", "faults", {"kind": "500", "path": "/webhooks"})
    _ = await tidy.control("stampede", "faults", {"kind": "garbage", "path": "/v1/venues"})
    found = await _check(tidy, capsys)
    assert found.code == 1
    assert found.only("GET /guests/{guestId}")[0] == "warning"
    assert found.only("GET /webhooks")[0] == found.only("GET /v1/venues")[0] == "failed"


async def test_a_token_that_is_not_given_is_not_blamed_on_the_venues(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The address may be another program's: it is named, for the vendor cannot help then."""
    _ = await tidy.control("stampede", "faults", {"kind": "500", "path": "/oauth/token"})
    found = await _check(tidy, capsys)
    [trouble] = [
        one for one in found.document["checks"]
        if one["where"] == "destinations.stampede" and one["verdict"] == "failed"
    ]  # fmt: skip
    assert (found.code, trouble["what"]) == (1, "token")
    assert tidy.sandbox.stampede in trouble["advice"]
    assert found.verdicts("GET /v1/venues") == []


async def test_a_restored_outbox_that_has_not_started_is_asked_nothing(
    tidy: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was sent since the backup is not known, so all may be spent."""
    async with tidy.running():
        pass
    for command in (["backup", "copy.db"], ["restore", "copy.db", "--yes"]):
        arguments = [command[0], str(tidy.folder / command[1]), *command[2:]]
        code = await asyncio.to_thread(main, [*arguments, "--config", str(tidy.path)])
        assert code == 0
    found = await _check(tidy, capsys)
    assert found.only("GET /v1/venues")[0] == "warning"
    assert "put back from a backup" in found.text
    assert await tidy.requests("stampede") == []


async def test_nothing_is_changed_and_nobody_is_read(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only GET, and tokens; no guest's data comes back, so none can be shown."""
    made = await here.book(booking={}, send=False)
    guest = (await here.state("roller"))["guests"][0]
    found = await _check(here, capsys)
    for peer in ("roller", "stampede"):
        calls = {(one["method"], one["path"]) for one in await here.requests(peer)}
        assert {path for method, path in calls if method != "GET"} <= {"/token", "/oauth/token"}
    for word in (guest["email"], guest["lastName"], guest["phone"], made["booking"]["uniqueId"]):
        assert word not in found.text
    assert sorted(path.name for path in here.folder.iterdir()) == [
        "config.toml",
        "outbox.db.tokens",
    ]
