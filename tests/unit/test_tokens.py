"""A token is asked for once, kept in a file that nobody else reads, and not used too long."""

import os
import stat
from pathlib import Path

import pytest

from pipeline.tokens import Tokens, fingerprint
from tests.fakes import FakeClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db.tokens"


def test_a_token_outlives_a_restart(path: Path, clock: FakeClock) -> None:
    """Twenty a minute is all that Stampede gives."""
    Tokens(path, clock).keep("stampede", "credentials", "t", lifetime=3600)
    assert Tokens(path, clock).get("stampede", "credentials") == "t"


def test_a_reader_uses_what_is_there_and_leaves_the_file_alone(
    path: Path, clock: FakeClock
) -> None:
    """The file belongs to a running daemon, which holds more in memory than we have read."""
    Tokens(path, clock).keep("roller", "credentials", "t", lifetime=3600)
    before = path.read_bytes()
    reader = Tokens(path, clock, writes=False)
    assert reader.get("roller", "credentials") == "t"
    assert reader.drop("roller", "t")
    reader.keep("roller", "credentials", "fresh", lifetime=3600)
    assert reader.get("roller", "credentials") == "fresh"
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_nobody_else_can_read_the_file(path: Path, clock: FakeClock, umask: int) -> None:
    """It opens a venue's guests to whoever has it."""
    before = os.umask(umask)
    try:
        Tokens(path, clock).keep("stampede", "credentials", "t", lifetime=3600)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("lifetime", "usable"),
    [(86_400, 86_100), (3_000, 2_700), (600, 540), (60, 54), (1, 54), (0, 54), (-5, 54)],
)
def test_a_token_is_renewed_before_it_ends(
    path: Path, clock: FakeClock, lifetime: float, usable: float
) -> None:
    """A request with an expired one costs a slot for nothing, and one without a life more."""
    tokens = Tokens(path, clock)
    tokens.keep("stampede", "credentials", "t", lifetime=lifetime)
    clock.advance(usable - 0.001)
    assert tokens.get("stampede", "credentials") == "t"
    clock.advance(0.001)
    assert tokens.get("stampede", "credentials") is None


@pytest.mark.parametrize("lifetime", [1e12, 1e300, float("inf")])
def test_an_endless_token_is_renewed_once_a_month(
    path: Path, clock: FakeClock, lifetime: float
) -> None:
    """A number that no file could hold must not stop the daemon."""
    Tokens(path, clock).keep("stampede", "credentials", "t", lifetime=lifetime)
    assert Tokens(path, clock).get("stampede", "credentials") == "t"
    clock.advance(30 * 86_400)
    assert Tokens(path, clock).get("stampede", "credentials") is None


def test_changed_credentials_do_not_use_an_old_token(path: Path, clock: FakeClock) -> None:
    """The new key may belong to another organisation."""
    tokens = Tokens(path, clock)
    tokens.keep("stampede", "old", "t", lifetime=3600)
    assert tokens.get("stampede", "new") is None
    assert tokens.get("other", "old") is None


def test_only_the_refused_token_is_dropped(path: Path, clock: FakeClock) -> None:
    """Another request may have fetched a new one meanwhile."""
    tokens = Tokens(path, clock)
    assert not tokens.drop("stampede", "t-1")
    tokens.keep("stampede", "credentials", "t-1", lifetime=3600)
    tokens.keep("stampede", "credentials", "t-2", lifetime=3600)
    assert not tokens.drop("stampede", "t-1")
    assert tokens.get("stampede", "credentials") == "t-2"
    assert tokens.drop("stampede", "t-2")
    assert Tokens(path, clock).get("stampede", "credentials") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"stampede":{"token":7}}',
        b'{"stampede":{"token":"a\\nb","credentials":"credentials","renew_at":9000000000000000}}',
        b"\xff",
        b'{"a":"\xff"}',
        None,
    ],
)
def test_a_file_that_cannot_be_read_costs_one_request(
    path: Path, clock: FakeClock, content: bytes | None
) -> None:
    """It is no reason not to start."""
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    assert Tokens(path, clock).get("stampede", "credentials") is None


def test_a_disk_that_takes_no_file_is_no_reason_to_stop(tmp_path: Path, clock: FakeClock) -> None:
    """The token works until the restart."""
    tokens = Tokens(tmp_path / "missing" / "tokens", clock)
    tokens.keep("stampede", "credentials", "t", lifetime=3600)
    assert tokens.get("stampede", "credentials") == "t"


def test_a_fingerprint_tells_credentials_apart_and_hides_them() -> None:
    """It stands in the file beside the token."""
    assert fingerprint("id", "secret") == fingerprint("id", "secret")
    assert len({fingerprint("id", "secret"), fingerprint("ids", "ecret"), fingerprint("id")}) == 3
    assert "secret" not in fingerprint("id", "secret")
