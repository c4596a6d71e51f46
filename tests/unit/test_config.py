"""A configuration loads whole, or every error is named with its path."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Config, load
from pipeline.errors import ConfigError
from pipeline.settings import Address

_WHOLE = """
[server]
listen = "127.0.0.1:8080"
admin = "127.0.0.1:8081"
admin_token = { env = "PIPELINE_ADMIN_TOKEN" }
admin_hosts = []
max_body = 1048576
shutdown_grace = "20s"

[outbox]
path = "outbox.db"
keep = "30d"
max_waiting = 1000000

[retry]
first = "2s"
max = "1h"
give_up_after = "4d"

[log]
level = "info"
format = "json"

[alerts]
webhook = "https://hooks.example.com/…"
after_parked = 1

[sources.leeds]
type = "roller"
base_url = "https://api.roller.app"
client_id = "…"
client_secret = { env = "ROLLER_LEEDS_SECRET" }
webhook_key = { env = "ROLLER_LEEDS_WEBHOOK_KEY" }
public_url = "https://hooks.example.com"
timezone = "Europe/London"
currency = "GBP"
country = "GB"
rate_limit = { requests = 60, per = "60s" }
reconcile = "03:30"
products = "1h"
adults_only = true

[destinations.stampede]
type = "stampede"
base_url = "https://global.stampede.ai"
client_id = "ai.stampede.marketplace.…"
client_secret = { env = "STAMPEDE_SECRET" }
venues = { leeds = "A1B2C3D4E5F6" }
mode = "api"
registration_path = "/…"
rate_limit = { requests = 100, per = "15m", reserve = 20 }
tags = ["source", "channel", "status"]
consent = { data = "email", email = "email", sms = "sms_or_email" }
first_contact = "check"
visit_updates = ["complete"]
"""
_LEAST = """
[sources.leeds]
type = "roller"
client_id = "venue"
client_secret = { env = "ROLLER_LEEDS_SECRET" }
webhook_key = { env = "ROLLER_LEEDS_WEBHOOK_KEY" }

[destinations.stampede]
type = "stampede"
client_id = "key"
client_secret = { env = "STAMPEDE_SECRET" }
venues = { leeds = "A1B2C3D4E5F6" }
"""
Loader = Callable[[str], Config]
Refused = Callable[[str], dict[str, str]]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    """Loads a text as config.toml, with the secrets that it names."""
    for name in ("ROLLER_LEEDS_SECRET", "ROLLER_LEEDS_WEBHOOK_KEY", "STAMPEDE_SECRET"):
        monkeypatch.setenv(name, f"the {name}")
    monkeypatch.setenv("PIPELINE_ADMIN_TOKEN", "the token")
    monkeypatch.delenv("PIPELINE_TEST_UNSET", raising=False)
    path = tmp_path / "config.toml"

    def loaded(text: str) -> Config:
        path.write_text(text, encoding="utf-8")
        return load(path)

    return loaded


@pytest.fixture
def refused(loaded: Loader, tmp_path: Path) -> Refused:
    """Gives the complaint about each path of a text that does not load."""

    def refused(text: str) -> dict[str, str]:
        with pytest.raises(ConfigError) as caught:
            loaded(text)
        prefix = f"{tmp_path / 'config.toml'}: "
        assert all(line.startswith(prefix) for line in caught.value.problems)
        assert all("\n" not in line for line in caught.value.problems)
        split = [line.removeprefix(prefix).partition(": ") for line in caught.value.problems]
        assert len({path for path, _, _ in split}) == len(split), "one line for each path"
        return {path: sentence for path, _, sentence in split}

    return refused


def test_the_whole_example_of_the_contract_loads(loaded: Loader) -> None:
    """Every key that is promised is understood."""
    config = loaded(_WHOLE)
    leeds, stampede = config.sources["leeds"], config.destinations["stampede"]
    assert leeds.client_secret.reveal() == "the ROLLER_LEEDS_SECRET"
    assert [key.reveal() for key in leeds.webhook_key] == ["the ROLLER_LEEDS_WEBHOOK_KEY"]
    assert config.server.admin_token is not None
    assert config.server.admin_token.reveal() == "the token"
    assert dict(stampede.venues) == {"leeds": "A1B2C3D4E5F6"}


def test_what_is_not_said_is_as_the_contract_shows_it(loaded: Loader) -> None:
    """Only type, credentials and the venue map are required."""
    whole, least = loaded(_WHOLE), loaded(_LEAST)
    assert least.server.listen == Address(host="127.0.0.1", port=8080)
    for section in ("outbox", "retry", "log"):
        assert getattr(least, section) == getattr(whole, section)
    for name in ("listen", "admin", "admin_hosts", "max_body", "shutdown_grace"):
        assert getattr(least.server, name) == getattr(whole.server, name)
    for name in ("base_url", "rate_limit", "reconcile", "products", "adults_only"):
        assert getattr(least.sources["leeds"], name) == getattr(whole.sources["leeds"], name)
    ours, theirs = least.destinations["stampede"], whole.destinations["stampede"]
    for name in ("base_url", "mode", "tags", "consent", "first_contact", "visit_updates"):
        assert getattr(ours, name) == getattr(theirs, name)
    limits = [(one.rate_limit.requests, float(one.rate_limit.per)) for one in (ours, theirs)]
    assert limits == [(100, 900.0), (100, 900.0)]
    assert ours.rate_limit.reserved == theirs.rate_limit.reserved == 20


@pytest.mark.parametrize(
    ("listen", "admin"),
    [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:7", "127.0.0.1:8"),
        ("127.0.0.1:7", "127.0.0.2:7"),
        ("unix:a", "unix:b"),
        ("unix:a", "127.0.0.1:7"),
        ("127.0.0.1:0", "unix:a"),
    ],
)
def test_two_places_to_listen_are_two(loaded: Loader, listen: str, admin: str) -> None:
    """Port 0 is a free port for each."""
    server = loaded(f'[server]\nlisten = "{listen}"\nadmin = "{admin}"\n{_LEAST}').server
    assert not server.listen.is_same(server.admin)


def test_what_has_no_default_is_absent(loaded: Loader) -> None:
    """It is asked from ROLLER, or not used."""
    config = loaded(_LEAST)
    leeds = config.sources["leeds"]
    assert config.alerts is None
    assert config.server.admin_token is None
    assert (leeds.public_url, leeds.timezone, leeds.currency, leeds.country) == (None,) * 4
    assert config.destinations["stampede"].registration_path is None


@pytest.mark.parametrize(
    ("given", "path"),
    [("", "outbox.db"), ('[outbox]\npath = "data/o.db"', "data/o.db")],
    ids=["default", "given"],
)
def test_paths_are_relative_to_the_file(
    loaded: Loader, tmp_path: Path, given: str, path: str
) -> None:
    """And not to where the daemon was started."""
    assert loaded(f"{_LEAST}\n{given}").outbox.path == tmp_path / path


def test_a_section_may_say_only_what_differs(loaded: Loader) -> None:
    """The rest of it keeps its defaults."""
    text = _LEAST + 'rate_limit = { requests = 50 }\nconsent = { sms = "never" }\n'
    stampede = loaded(text).destinations["stampede"]
    assert (stampede.rate_limit.requests, float(stampede.rate_limit.per)) == (50, 900.0)
    assert (stampede.consent.email, stampede.consent.sms) == ("email", "never")


@pytest.mark.parametrize(
    ("line", "path", "complaint"),
    [
        ("[server]\nlisten-prot = 1", "server.listen-prot", "no such key"),
        ("[serfer]\n", "serfer", "no such key"),
        ("server = 7", "server", "expected a table"),
        ('[server]\nlisten = "8080"', "server.listen", "HOST:PORT"),
        ('[server]\nadmin = "0.0.0.0:8081"', "server.admin_token", "required"),
        ('[server]\nadmin = "example.com:1"', "server.admin_token", "required"),
        ('[server]\nadmin = "127.0.0.1:8080"', "server.admin", "must differ"),
        ('[server]\nlisten = "[::1]:7"\nadmin = "[0::1]:7"', "server.admin", "must differ"),
        ('[server]\nlisten = "localhost:7"\nadmin = "127.0.0.1:7"', "server.admin", "must differ"),
        ('[server]\nlisten = "unix:a"\nadmin = "unix:a"', "server.admin", "must differ"),
        ('[server]\nlisten = "unix:./a"\nadmin = "unix:b/../a"', "server.admin", "must differ"),
        ('[server]\nadmin_hosts = "a"', "server.admin_hosts", "expected array"),
        ("[server]\nadmin_hosts = [7]", "server.admin_hosts", "expected str"),
        ("[server]\nmax_body = 1", "server.max_body", "at least"),
        ("[server]\nmax_body = true", "server.max_body", "expected int"),
        ("[server]\nshutdown_grace = 20", "server.shutdown_grace", "expected a duration"),
        ('[server]\nadmin_token = ""', "server.admin_token", "empty"),
        ('[outbox]\npath = ""', "outbox.path", "length >= 1"),
        ("[outbox]\npath = 7", "outbox.path", "expected str"),
        ('[outbox]\nkeep = "forever"', "outbox.keep", "expected a duration"),
        ("[outbox]\nkeep = 2026-01-01", "outbox.keep", "expected a duration"),
        ("[outbox]\nmax_waiting = 0", "outbox.max_waiting", "at least 1"),
        ('[retry]\nfirst = "2h"', "retry.max", "below first"),
        ('[log]\nlevel = "loud"', "log.level", "error (found 'loud')"),
        ('[log]\nformat = "xml"', "log.format", "json, console"),
        ("[alerts]\nafter_parked = 2", "alerts.webhook", "missing"),
        ('[alerts]\nwebhook = "chat"', "alerts.webhook", "expected an address"),
        (
            '[alerts]\nwebhook = "https://a"\nafter_parked = 0',
            "alerts.after_parked",
            "at least 1",
        ),
        ('[sources.york]\ntype = "rocket"', "sources.york.type", "expected one of: roller"),
        ('[sources.york]\nclient_id = "a"', "sources.york.type", "expected one of: roller"),
        ("[sources]\nyork = 7", "sources.york.type", "expected one of: roller"),
        ('[sources.York]\ntype = "roller"', "sources.York", "lower-case"),
        ('[sources."a b"]\ntype = "roller"', "sources.a b", "lower-case"),
        ('[sources."é"]\ntype = "roller"', "sources.é", "lower-case"),
        ('[sources.""]\ntype = "roller"', "sources.", "lower-case"),
    ],
    ids=lambda one: one.replace("\n", " ") if isinstance(one, str) else None,
)  # fmt: skip
def test_an_error_is_named_with_its_path(
    refused: Refused, line: str, path: str, complaint: str
) -> None:
    """One line, where to look and what would do."""
    found = refused(f"{line}\n{_LEAST}" if line.startswith("server =") else f"{_LEAST}\n{line}")
    assert list(found) == [path]
    assert complaint in found[path]


@pytest.mark.parametrize(
    ("section", "old", "new", "complaint"),
    [
        ("sources.leeds", 'client_id = "venue"', "", "missing"),
        ("sources.leeds", 'client_id = "venue"', 'client_id = ""', "length >= 1"),
        ("sources.leeds", 'client_id = "venue"', "client_id = 7", "expected str"),
        (
            "sources.leeds",
            'client_secret = { env = "ROLLER_LEEDS_SECRET" }',
            'client_secret = { env = "PIPELINE_TEST_UNSET" }',
            "PIPELINE_TEST_UNSET is not set",
        ),
        (
            "sources.leeds",
            'webhook_key = { env = "ROLLER_LEEDS_WEBHOOK_KEY" }',
            "webhook_key = []",
            "expected one key",
        ),
        (
            "destinations.stampede",
            'venues = { leeds = "A1B2C3D4E5F6" }',
            "venues = {}",
            "no source is mapped",
        ),
        ("destinations.stampede", 'venues = { leeds = "A1B2C3D4E5F6" }', "", "missing"),
        (
            "destinations.stampede",
            'venues = { leeds = "A1B2C3D4E5F6" }',
            "venues = []",
            "expected a table",
        ),
        ("destinations.stampede", 'type = "stampede"', 'type = "roller"', "expected one of"),
    ],
)
def test_what_is_required_is_asked_for(
    refused: Refused, section: str, old: str, new: str, complaint: str
) -> None:
    """Nothing works without it."""
    assert old in _LEAST
    found = refused(_LEAST.replace(old, new))
    assert list(found) == [f"{section}.{old.partition(' ')[0]}"]
    assert complaint in next(iter(found.values()))


@pytest.mark.parametrize(
    ("line", "path", "complaint"),
    [
        ('base_url = "ftp://a"', "base_url", "expected an address"),
        ('mode = "registration"', "registration_path", "is required"),
        ('mode = "both"', "mode", "expected one of: api, registration (found 'both')"),
        ('registration_path = "register"', "registration_path", "slash"),
        ('registration_path = "/register?key=1"', "registration_path", "slash"),
        ("rate_limit = 100", "rate_limit", "expected a table"),
        ("rate_limit = { requests = 0, reserve = -1 }", "rate_limit.requests", "from 1"),
        ('rate_limit = { requests = "many" }', "rate_limit.requests", "expected int"),
        ('rate_limit = { per = "25h" }', "rate_limit.per", "above 24h"),
        ('rate_limit = { per = "0s" }', "rate_limit.per", "expected a duration"),
        ("rate_limit = { reserve = 100 }", "rate_limit.reserve", "below requests"),
        ("rate_limit = { burst = 1 }", "rate_limit.burst", "no such key"),
        ('tags = ["price"]', "tags", "source, channel, status (found 'price'"),
        ('tags = "source"', "tags", "expected array"),
        ('consent = { sms = "always" }', "consent.sms", "never (found 'always')"),
        ('consent = { post = "email" }', "consent.post", "no such key"),
        ('first_contact = "maybe"', "first_contact", "check, trust (found"),
        ('visit_updates = ["gone"]', "visit_updates", "complete, arrived (found"),
    ],
)
def test_an_error_of_a_destination_is_named_with_its_path(
    refused: Refused, line: str, path: str, complaint: str
) -> None:
    """However deep it lies."""
    found = refused(_LEAST + line)
    where = f"destinations.stampede.{path}"
    assert where in found
    assert complaint in found[where]
    assert {one.removeprefix("destinations.stampede.").split(".")[0] for one in found} == {
        path.split(".", maxsplit=1)[0]
    }


@pytest.mark.parametrize(
    "serial", ['"A1B2C3D4E5F"', '"A1B2C3D4E5F67"', '"A1B2-3D4E5F6"', '""', "7", '"A1B2C3D4E5F٦"']
)
def test_a_serial_has_twelve_letters_and_digits(refused: Refused, serial: str) -> None:
    """Offline is the cheapest place to find a typing error."""
    found = refused(_LEAST.replace('"A1B2C3D4E5F6"', serial))
    assert list(found) == ["destinations.stampede.venues.leeds"]


def test_a_mapped_source_must_be_there(refused: Refused) -> None:
    """Its bookings would be ignored without a word."""
    found = refused(_LEAST.replace("leeds = ", "lees = "))
    assert found == {
        "destinations.stampede.venues.lees": "there is no source lees: did you mean leeds?"
    }


@pytest.mark.parametrize("host", ["hooks.example.com", "127.0.0.1:8080"])
def test_public_url_must_be_https(refused: Refused, host: str) -> None:
    """ROLLER sends to nothing else, and its own machine is not this one."""
    line = f'webhook_key = "k"\npublic_url = "http://{host}"'
    text = _LEAST.replace('webhook_key = { env = "ROLLER_LEEDS_WEBHOOK_KEY" }', line)
    assert list(refused(text)) == ["sources.leeds.public_url"]


def test_a_simulated_roller_on_this_machine_may_send_to_it_by_http(loaded: Loader) -> None:
    """As the sandbox does; nobody else could use that address."""
    line = 'webhook_key = "k"\npublic_url = "http://127.0.0.1:8080"'
    text = _LEAST.replace('webhook_key = { env = "ROLLER_LEEDS_WEBHOOK_KEY" }', line)
    text = text.replace('type = "roller"', 'type = "roller"\nbase_url = "http://localhost:9101"')
    leeds = loaded(text).sources["leeds"]
    assert leeds.webhook_url("leeds") == "http://127.0.0.1:8080/webhooks/leeds"


def test_a_key_without_a_name_is_refused(refused: Refused) -> None:
    """As every key that is not known."""
    [complaint] = refused(f'"" = ["a"]\n{_LEAST}')
    assert complaint.startswith("there is no such key")


def test_two_destinations_must_not_share_a_key(refused: Refused) -> None:
    """The allowance is the key's: each would spend the whole of it."""
    stampede = _LEAST[_LEAST.index("[destinations.stampede]") :]
    text = _LEAST + stampede.replace("destinations.stampede", "destinations.second")
    assert list(refused(text)) == ["destinations.second.client_id"]


def test_sources_and_destinations_are_required(refused: Refused) -> None:
    """A pipeline has two ends."""
    assert refused("") == {"sources": "missing", "destinations": "missing"}
    assert set(refused("[sources]\n[destinations]")) == {"sources", "destinations"}


def test_all_errors_are_named_at_once(refused: Refused) -> None:
    """Nobody wants to start it ten times."""
    text = """
        colour = "red"
        [server]
        listen = "here"
        admin = "0.0.0.0:1"
        [outbox]
        keep = 30
        max_waiting = 0
        [retry]
        first = "2h"
        [sources.leeds]
        type = "roller"
        client_secret = { env = "PIPELINE_TEST_UNSET" }
        webhook_key = ""
        public_url = "http://a"
        currency = "gbp"
        [destinations.stampede]
        type = "stampede"
        client_secret = "s"
        venues = { lees = "A1B2C3D4E5F6", leeds = "short" }
        mode = "registration"
        rate_limit = { requests = 10, reserve = 20 }
    """
    assert sorted(refused(text)) == [
        "colour",
        "destinations.stampede.client_id",
        "destinations.stampede.rate_limit.reserve",
        "destinations.stampede.registration_path",
        "destinations.stampede.venues.leeds",
        "destinations.stampede.venues.lees",
        "outbox.keep",
        "outbox.max_waiting",
        "retry.max",
        "server.admin_token",
        "server.listen",
        "sources.leeds.client_id",
        "sources.leeds.client_secret",
        "sources.leeds.currency",
        "sources.leeds.public_url",
        "sources.leeds.webhook_key",
    ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "there is no such file"),
        (b"[server", "is not TOML"),
        (b"a = 1\na = 2", "is not TOML"),
        (b"\xff", "is not UTF-8 text"),
        ("folder", "cannot be read: Is a directory"),
    ],
    ids=["missing", "not TOML", "key twice", "not text", "folder"],
)
def test_a_file_that_is_no_configuration_is_refused_in_one_line(
    tmp_path: Path, content: bytes | str | None, complaint: str
) -> None:
    """The first mistake of all is the wrong file."""
    path = tmp_path / "config.toml"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint) as caught:
        load(path)
    [line] = caught.value.problems
    assert line.startswith(f"{path}: ")


def test_a_byte_order_mark_is_no_error(loaded: Loader) -> None:
    """Notepad writes one."""
    assert loaded("\ufeff" + _LEAST) is not None


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (
            '{ env = "ROLLER_LEEDS_WEBHOOK_KEY" }',
            '[{ env = "ROLLER_LEEDS_WEBHOOK_KEY" }, "plain"]',
            "sources.leeds.webhook_key",
        ),
        ('{ env = "STAMPEDE_SECRET" }', '"plain"', "destinations.stampede.client_secret"),
    ],
)
def test_a_secret_in_plain_text_works_and_is_warned_of(
    loaded: Loader, old: str, new: str, path: str
) -> None:
    """It gets into backups and screenshots."""
    assert not list(loaded(_LEAST).warnings())
    [warning] = loaded(_LEAST.replace(old, new)).warnings()
    assert warning.startswith(f"{path}: ")
    assert "plain text:" in warning


def test_what_is_given_and_has_no_effect_yet_is_warned_of(loaded: Loader) -> None:
    """Whoever wrote it relies on it."""
    warned = [warning.partition(": ") for warning in loaded(_WHOLE).warnings()]
    assert [(path, sentence) for path, _, sentence in warned if path != "alerts"] == [
        (path, "has no effect in this version")
        for path in ("destinations.stampede.registration_path",)
    ]


def test_what_says_just_what_this_version_does_is_not_warned_of(loaded: Loader) -> None:
    """There is nothing to rely on that is not there."""
    text = _LEAST.replace(
        'client_id = "venue"', 'client_id = "venue"\nreconcile = "off"\nproducts = "off"'
    )
    text += 'first_contact = "trust"\nvisit_updates = []\n'
    assert list(loaded(text).warnings()) == []
    text += 'mode = "registration"\nregistration_path = "/v1/registration"\n'
    assert list(loaded(text).warnings()) == []


def test_a_source_that_goes_nowhere_is_warned_of(loaded: Loader) -> None:
    """Perhaps the map was forgotten."""
    york = _LEAST[: _LEAST.index("[destinations")].replace("leeds", "york")
    [warning] = loaded(_LEAST + york).warnings()
    assert warning.startswith("sources.york: no destination takes it")


@pytest.mark.parametrize(
    ("limit", "every"),
    [
        ('{ requests = 1, per = "15m" }', "15 min"),
        ('{ requests = 10, per = "24h" }', "2 h"),
        ('{ requests = 1, per = "14m" }', None),
        ('{ requests = 2, per = "15m" }', None),
    ],
)
def test_an_allowance_that_makes_answers_old_before_they_are_used_is_warned_of(
    loaded: Loader, limit: str, every: str | None
) -> None:
    """Whoever unsubscribes between two requests is not asked a third time."""
    warnings = list(loaded(f"{_LEAST}\nrate_limit = {limit}\n").warnings())
    told = f"destinations.stampede.rate_limit: a request every {every} is so few that"
    assert [one.startswith(told) for one in warnings] == ([True] if every else [])


def test_no_secret_shows_in_a_configuration(loaded: Loader) -> None:
    """It is printed while debugging."""
    shown: Any = repr(loaded(_WHOLE))
    assert "the ROLLER" not in shown
    assert "the STAMPEDE" not in shown
    assert "the token" not in shown
