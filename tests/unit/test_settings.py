"""Each value of the configuration is understood, or refused with what would do."""

from pathlib import Path

import pytest

from pipeline.settings import Address, Duration, Hook, Keys, RateLimit, Secret, Url, shown
from pipeline.sources.roller.settings import Country, Currency, DailyAt, Every, Timezone

_HERE = Path("/etc/pipeline")


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("24h", 86_400),
        ("30d", 2_592_000),
        ("500ms", 0.5),
        ("1.5h", 5_400),
        (" 2s ", 2),
    ],
)
def test_a_duration_is_read_in_seconds(raw: str, seconds: float) -> None:
    """As people write it."""
    assert Duration.parse(raw) == seconds


@pytest.mark.parametrize(
    "raw",
    ["", "90", "s", "0s", "0.0h", "-1s", "1 s", "1w", "1h30m", "1e3s", "inf", "9" * 400 + "d",
     "36526d", 90, 1.5, True, None, ["90s"]],
    ids=lambda raw: shown(raw)[:20],
)  # fmt: skip
def test_what_is_no_duration_is_refused(raw: object) -> None:
    """A number without a unit would be a guess, and one beyond the calendar a crash later."""
    with pytest.raises(ValueError, match='expected a duration such as "90s"'):
        Duration.parse(raw)


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ("https://api.roller.app", "https://api.roller.app"),
        ("https://api.roller.app/", "https://api.roller.app"),
        ("http://127.0.0.1:9101", "http://127.0.0.1:9101"),
        ("http://[::1]:9101/sub/", "http://[::1]:9101/sub"),
    ],
)
def test_an_address_loses_its_trailing_slash(raw: str, url: str) -> None:
    """Paths are put behind it."""
    assert Url.parse(raw) == url


@pytest.mark.parametrize(
    "raw",
    ["", "api.roller.app", "ftp://api.roller.app", "https://", "https:///path", "https://a?b=c",
     "https://a#b", "https://a b", "https://a\n", "https://a:0", "https://a:99999", "https://a:b",
     "http://[::1", 7, None],
    ids=repr,
)  # fmt: skip
def test_what_no_request_can_be_made_of_is_refused(raw: object) -> None:
    """It would fail at the first webhook instead of at the start."""
    with pytest.raises(ValueError, match="expected an address"):
        Url.parse(raw)


@pytest.mark.parametrize("kind", [Url, Hook])
@pytest.mark.parametrize(
    "raw", ["https://me:hunter22@a", "https://:hunter22@a", "ftp://m:hunter22@a"]
)
def test_an_address_with_a_password_is_refused_and_not_shown(
    kind: type[Url | Hook], raw: str
) -> None:
    """Nothing prints a secret, wherever it was put."""
    with pytest.raises(ValueError, match="expected an address") as caught:
        kind.parse(raw)
    assert "hunter22" not in str(caught.value)


def test_a_hook_is_used_as_it_is() -> None:
    """Chat tools put their keys into the query and end paths as they like."""
    raw = "https://chat.example.com/v1/spaces/?key=k&token=t"
    assert Hook.parse(raw) == raw
    with pytest.raises(ValueError, match="expected an address"):
        Hook.parse("chat.example.com/secret")


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        ("127.0.0.1:8080", Address(host="127.0.0.1", port=8080)),
        ("[::1]:8080", Address(host="::1", port=8080)),
        ("localhost:0", Address(host="localhost", port=0)),
        ("unix:run/p.sock", Address(socket=_HERE / "run/p.sock")),
        ("unix:/run/p.sock", Address(socket=Path("/run/p.sock"))),
    ],
)
def test_an_address_to_listen_at_is_read_and_written(raw: str, address: Address) -> None:
    """A relative socket lies beside the configuration."""
    assert Address.parse(raw, _HERE) == address
    assert Address.parse(str(address), Path("/elsewhere")) == address


@pytest.mark.parametrize(
    "raw",
    ["", "8080", ":8080", "localhost", "localhost:", "localhost:http", "localhost:65536",
     "localhost:-1", "localhost:8080 ", "a b:1", "a/b:1", "unix:", 8080, None, "localhost:٣"],
    ids=repr,
)  # fmt: skip
def test_where_nothing_can_listen_is_refused(raw: object) -> None:
    """With the form that would do."""
    with pytest.raises(ValueError, match="HOST:PORT"):
        Address.parse(raw, _HERE)


def test_a_secret_is_fetched_from_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environment, file beside the configuration, systemd's credential; last of all, in place."""
    (tmp_path / "key").write_text("from file\n")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "key").write_text("from systemd\r\n")
    monkeypatch.setenv("KEY", "from environment")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    found = [
        Secret.parse(raw, tmp_path)
        for raw in ({"env": "KEY"}, {"file": "key"}, {"credential": "key"}, "in place")
    ]
    assert [one.reveal() for one in found] == [
        "from environment",
        "from file",
        "from systemd",
        "in place",
    ]
    assert [one.inline for one in found] == [False, False, False, True]


def test_a_secret_is_never_shown() -> None:
    """Not by a traceback, a log line or a debugger's print."""
    secret = Secret("hunter22")
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}", repr(Keys((secret,)))):
        assert "hunter22" not in text


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ("", "empty"),
        ("a\nb", "HTTP header"),
        ("schlüssel", "HTTP header"),
        ({"env": "PIPELINE_TEST_UNSET"}, "PIPELINE_TEST_UNSET is not set"),
        ({"env": "PIPELINE_TEST_EMPTY"}, "empty"),
        ({"file": "missing"}, "cannot be read: No such file"),
        ({"file": "."}, "is not a file"),
        ({"file": "binary"}, "is not text"),
        ({"file": "blank"}, "empty"),
        ({"file": "nul\x00"}, "null byte"),
        ({"credential": "key"}, "CREDENTIALS_DIRECTORY is not set"),
        ({"vault": "key"}, "expected env, file or credential, not vault"),
        ({"env": "A", "file": "b"}, "expected {"),
        ({"env": 7}, "expected {"),
        ({}, "expected {"),
        (7, "expected {"),
        (None, "expected {"),
        (["a"], "expected {"),
    ],
    ids=lambda one: repr(one)[:40],
)
def test_a_secret_that_cannot_be_had_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: object, complaint: str
) -> None:
    """The daemon would start, and every request be refused."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "blank").write_text("\n")
    monkeypatch.setenv("PIPELINE_TEST_EMPTY", "")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ValueError, match=complaint):
        Secret.parse(raw, tmp_path)


def test_a_webhook_may_have_two_keys_while_rotating() -> None:
    """The new one is set here before ROLLER sends it."""
    assert [key.reveal() for key in Keys.parse("one", _HERE)] == ["one"]
    assert [key.reveal() for key in Keys.parse(["one", "two"], _HERE)] == ["one", "two"]


@pytest.mark.parametrize("raw", [[], ["a", "b", "c"], ["a", ""], [["a"]]], ids=repr)
def test_no_key_and_three_keys_are_refused(raw: object) -> None:
    """An empty list would lock ROLLER out, an empty key let everybody in."""
    with pytest.raises(ValueError, match=r"expected|empty"):
        Keys.parse(raw, _HERE)


@pytest.mark.parametrize(
    ("requests", "reserve", "reserved"),
    [(100, None, 20), (1000, None, 20), (60, None, 12), (4, None, 0), (1, None, 0), (100, 7, 7)],
)
def test_the_reserve_is_a_fifth_and_twenty_at_most(
    requests: int, reserve: int | None, reserved: int
) -> None:
    """A small allowance must not be all reserve."""
    limit = RateLimit(requests=requests, per=Duration(900), reserve=reserve)
    assert limit.reserved == reserved
    assert not list(limit.problems())


@pytest.mark.parametrize(
    ("requests", "per", "reserve", "path"),
    [
        (0, 900, None, "requests"),
        (-5, 900, None, "requests"),
        (10**6, 900, None, "requests"),
        (100, 86_401, None, "per"),
        (100, 900, 100, "reserve"),
        (100, 900, -1, "reserve"),
    ],
)
def test_an_allowance_that_allows_nothing_is_refused(
    requests: int, per: float, reserve: int | None, path: str
) -> None:
    """All work would wait for ever."""
    limit = RateLimit(requests=requests, per=Duration(per), reserve=reserve)
    assert path in [where for where, _ in limit.problems()]


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (Timezone, "Europe/London"),
        (Currency, "GBP"),
        (Country, "GB"),
        (DailyAt, "03:30"),
        (DailyAt, "off"),
    ],
)
def test_what_roller_may_be_told_of_a_venue_is_read(
    kind: type[Timezone | Currency | Country | DailyAt], raw: str
) -> None:
    """It overrides what ROLLER says."""
    assert kind.parse(raw) == raw


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        *((Timezone, raw) for raw in ("", "London", "Europe", "../etc/passwd", "a\x00b", 7, None)),
        *((Currency, raw) for raw in ("", "gbp", "XXX", "£", 826)),
        *((Country, raw) for raw in ("", "gb", "UK", "GBR", 44)),
        *((DailyAt, raw) for raw in ("", "3:30", "24:00", "03:60", "03:30:00", True)),
        *((Every, raw) for raw in ("", "never", 3600)),
    ],
    ids=lambda one: repr(one) if not isinstance(one, type) else one.__name__,
)
def test_what_does_not_exist_is_refused(
    kind: type[Timezone | Currency | Country | DailyAt | Every], raw: object
) -> None:
    """A wrong zone or currency would make every booking wrong."""
    with pytest.raises(ValueError, match="expected"):
        kind.parse(raw)


def test_an_interval_may_be_off() -> None:
    """Zero stands for never."""
    assert [float(Every.parse(raw)) for raw in ("off", "1h")] == [0.0, 3600.0]


def test_a_long_value_is_cut_in_a_complaint() -> None:
    """It has to fit a terminal's line."""
    assert len(shown("a" * 1_000)) <= 60
