"""How the sandbox is started, and the configuration that it prints."""

import tomllib

import aiohttp
import msgspec
import pytest

from pipeline.sandbox.configuration import render_config
from pipeline.sandbox.serve import Address, Sandbox, run_sandbox, serve
from pipeline.sandbox.settings import default_settings
from pipeline.sandbox.stampede import stampede_app
from tests.sandbox.support import Api, roller_token, stampede_token

BASES = Sandbox(roller="http://127.0.0.1:9101", stampede="http://127.0.0.1:9102")


async def test_both_run_with_the_credentials_of_the_printed_configuration() -> None:
    """What `pipeline sandbox` prints works as it stands."""
    settings = default_settings()
    async with run_sandbox(settings) as sandbox, aiohttp.ClientSession() as session:
        config = tomllib.loads(render_config(settings, sandbox))
        source, destination = config["sources"]["leeds"], config["destinations"]["stampede"]
        roller, stampede = Api(session, source["base_url"]), Api(session, destination["base_url"])
        assert (await roller_token(roller, settings.roller.venues[0])).status == 200
        assert (await stampede_token(stampede)).status == 200
        venues = (await stampede.get("/v1/venues")).json["data"]
        assert [venue["id"] for venue in venues] == list(destination["venues"].values())
        (webhook,) = (await roller.get("/webhooks")).json
        assert webhook["configuration"]["authentication"]["apiKey"] == source["webhook_key"]
        assert webhook["configuration"]["url"].endswith("/webhooks/leeds")


async def test_an_address_that_is_taken_is_an_error() -> None:
    """The command can say so; half a sandbox is not left behind."""
    async with serve(stampede_app()) as url:
        taken = Address(port=int(url.rpartition(":")[2]))
        with pytest.raises(OSError, match="in use"):
            async with run_sandbox(default_settings(), stampede=taken):
                pass


def test_addresses_are_read_as_people_write_them() -> None:
    """The command takes HOST:PORT for each simulated API."""
    assert Address.parse("127.0.0.1:9101") == Address(host="127.0.0.1", port=9101)
    assert Address.parse("[::1]:0") == Address(host="::1", port=0)
    for wrong in ("9101", ":9101", "localhost", "localhost:http", "localhost:65536"):
        with pytest.raises(ValueError, match="write HOST:PORT"):
            Address.parse(wrong)


def test_the_configuration_names_what_the_caller_chose() -> None:
    """Addresses, paths with odd characters, and the sandbox's own limits."""
    settings = default_settings()
    stampede = msgspec.structs.replace(settings.stampede, requests=100, per=2.0)
    settings = msgspec.structs.replace(settings, stampede=stampede)
    path = 'C:\\out "box".db'
    config = tomllib.loads(
        render_config(settings, BASES, listen="unix:/run/p", admin="127.0.0.1:1", outbox=path)
    )
    assert config["server"] == {"listen": "unix:/run/p", "admin": "127.0.0.1:1"}
    assert config["outbox"] == {"path": path}
    limit = config["destinations"]["stampede"]["rate_limit"]
    assert limit == {"requests": 100, "per": "2s", "reserve": 20}
    assert config["sources"]["leeds"]["base_url"] == BASES.roller


def test_every_venue_is_configured() -> None:
    """A chain of venues is tried like one."""
    settings = default_settings()
    leeds, serial = settings.roller.venues[0], settings.stampede.venues[0]
    york = msgspec.structs.replace(leeds, source="york", client_id="york")
    second = msgspec.structs.replace(serial, id="YORK00000001")
    settings = msgspec.structs.replace(
        settings,
        roller=msgspec.structs.replace(settings.roller, venues=(leeds, york)),
        stampede=msgspec.structs.replace(settings.stampede, venues=(serial, second)),
    )
    config = tomllib.loads(render_config(settings, BASES))
    assert set(config["sources"]) == {"leeds", "york"}
    assert config["destinations"]["stampede"]["venues"] == {
        "leeds": "A1B2C3D4E5F6",
        "york": "YORK00000001",
    }
