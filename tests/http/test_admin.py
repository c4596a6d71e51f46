"""The admin listener, as a hostile web page, a stranger and a monitor see it."""

import msgspec
import pytest

from pipeline.status import Status
from tests.http.support import TOKEN, Here

_BEARER = b"Authorization: Bearer " + TOKEN.encode()
_JSON = b"Content-Type: application/json"


def _request(
    *headers: bytes,
    method: bytes = b"GET",
    target: bytes = b"/api/status",
    host: bytes | None = b"localhost",
    version: bytes = b"HTTP/1.1",
) -> bytes:
    named = [b"Host: " + host] if host is not None else []
    lines = [b"%s %s %s" % (method, target, version), *named, *headers, b"Connection: close"]
    return b"\r\n".join([*lines, b"", b""])


async def test_the_status_is_one_json_document(here: Here) -> None:
    """The command line, the dashboard and scripts read the same document."""
    answers = await here.admin.send(_request(_BEARER))

    assert answers.statuses == [200]
    assert answers.header("Content-Type") == "application/json"
    found = msgspec.json.decode(answers.raw.partition(b"\r\n\r\n")[2], type=Status)
    assert found.running
    assert found.events["accepted"] == 0


HOSTS = [
    *[
        pytest.param(host, 200, id=host.decode("latin-1"))
        for host in (
            b"localhost",
            b"LocalHost:8081",
            b"127.0.0.1",
            b"127.0.0.1:8081",
            b"10.1.2.3",
            b"[::1]",
            b"[::1]:8081",
            b"[FE80::1]",
            b"pipeline.example.com",
            b"Pipeline.Example.COM:443",
        )
    ],
    *[
        pytest.param(host, 421, id=host.decode("latin-1") or "empty")
        for host in (
            b"",
            b"evil.example",
            b"evil.example:8081",
            b"localhost.evil.example",
            b"127.0.0.1.nip.io",
            b"sub.pipeline.example.com",
            b"localhost.",
            b"127.0.0.1.",
            b"127.1",
            b"2130706433",
            b"::1",
            b"[::1",
            b"[::1].evil.example",
            b"[localhost]",
            b"localhost:port",
            b"localhost@evil.example",
            b"evil.example@localhost",
            b"localhost/evil",
            b"evil.example#@localhost",
            b"\xff",
            b"\xef\xbd\x8cocalhost",
        )
    ],
]


@pytest.mark.parametrize(("host", "status"), HOSTS)
async def test_only_our_own_names_are_served(here: Here, host: bytes, status: int) -> None:
    """A page may point its own name at 127.0.0.1 and let the browser ask here in our place."""
    assert (await here.admin.send(_request(_BEARER, host=host))).statuses == [status]


async def test_a_request_without_any_name_is_not_served(here: Here) -> None:
    """No browser leaves it out, and whoever does can add one."""
    sent = _request(_BEARER, host=None, version=b"HTTP/1.0")

    assert (await here.admin.send(sent)).statuses == [421]


AUTHORIZATIONS = [
    pytest.param(_BEARER, 200, id="right"),
    pytest.param(b"Authorization: bearer  " + TOKEN.encode(), 200, id="lower-case-scheme"),
    pytest.param(b"X: y", 401, id="none"),
    pytest.param(b"Authorization:", 401, id="empty"),
    pytest.param(b"Authorization: Bearer", 401, id="scheme-only"),
    pytest.param(b"Authorization: " + TOKEN.encode(), 401, id="token-only"),
    pytest.param(b"Authorization: Basic " + TOKEN.encode(), 401, id="another-scheme"),
    pytest.param(b"Authorization: Bearer wrong", 401, id="wrong"),
    pytest.param(_BEARER + b"x", 401, id="longer"),
    pytest.param(_BEARER[:-1], 401, id="shorter"),
    pytest.param(b"Authorization: Bearer \xff\xfe", 401, id="not-utf8"),
    pytest.param("Authorization: Bearer schlüssel".encode(), 401, id="not-ascii"),
]


@pytest.mark.parametrize(("header", "status"), AUTHORIZATIONS)
async def test_the_token_is_needed(here: Here, header: bytes, status: int) -> None:
    """The status tells what a stranger has no business to know."""
    assert (await here.admin.send(_request(header))).statuses == [status]


TARGETS = [
    pytest.param(b"/healthz", 200, id="health"),
    pytest.param(b"/", 404, id="dashboard-to-come"),
    pytest.param(b"/static/app.js", 404, id="static-to-come"),
    pytest.param(b"/static/../api/status", 404, id="dots"),
    pytest.param(b"/static/%2e%2e/api/status", 404, id="dots-encoded"),
    pytest.param(b"/readyz", 401, id="readiness"),
    pytest.param(b"/api/status/", 401, id="slash-at-end"),
    pytest.param(b"//api/status", 401, id="two-slashes"),
    pytest.param(b"/%61pi/status", 401, id="encoded"),
    pytest.param(b"/healthz/../api/status", 401, id="dots-behind-health"),
    pytest.param(b"http://localhost/api/status", 401, id="absolute"),
    pytest.param(b"http://xn--/api/status", 401, id="host-idna-refuses"),
    pytest.param(b"/no/such/route", 401, id="unknown"),
]


@pytest.mark.parametrize(("target", "status"), TARGETS)
async def test_without_the_token_only_what_holds_no_data_is_open(
    here: Here, target: bytes, status: int
) -> None:
    """No spelling of a path may lead around the token."""
    assert (await here.admin.send(_request(target=target))).statuses == [status]


CHANGES = [
    pytest.param([_JSON], 404, id="json"),
    pytest.param([b"Content-Type: Application/JSON; charset=utf-8"], 404, id="json-with-charset"),
    pytest.param([_JSON, b"Origin: http://localhost"], 404, id="own-origin"),
    pytest.param([_JSON, b"Origin: https://LOCALHOST"], 404, id="own-origin-behind-tls"),
    pytest.param([], 403, id="no-type"),
    pytest.param([b"Content-Type: text/plain"], 403, id="text"),
    pytest.param([b"Content-Type: text/plain; application/json"], 403, id="json-as-parameter"),
    pytest.param([b"Content-Type: application/x-www-form-urlencoded"], 403, id="form"),
    pytest.param([b"Content-Type: application/json\xff"], 403, id="not-utf8"),
    pytest.param([_JSON, b"Origin: http://evil.example"], 403, id="foreign-origin"),
    pytest.param([_JSON, b"Origin: http://localhost:3000"], 403, id="other-port"),
    pytest.param([_JSON, b"Origin: http://localhost.evil.example"], 403, id="longer-origin"),
    pytest.param([_JSON, b"Origin: null"], 403, id="sandboxed-page"),
    pytest.param([_JSON, b"Origin:"], 403, id="empty-origin"),
    pytest.param([_JSON, b"Origin: http://["], 403, id="broken-origin"),
    pytest.param([_JSON, b"Origin: \xff"], 403, id="origin-not-utf8"),
]


@pytest.mark.parametrize(("headers", "status"), CHANGES)
async def test_a_change_must_be_json_from_our_own_origin(
    here: Here, headers: list[bytes], status: int
) -> None:
    """No page can make a browser send JSON elsewhere without asking first.

    There is no such route yet: 404 means that the guard let it through.
    """
    sent = _request(_BEARER, *headers, method=b"POST", target=b"/api/forget")

    assert (await here.admin.send(sent)).statuses == [status]


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
)
@pytest.mark.parametrize("target", ["/api/status", "/api/destinations/stampede/pause"])
async def test_every_method_but_reading_counts_as_a_change(
    here: Here, method: str, target: str
) -> None:
    """The question before a foreign request (OPTIONS) gets no for an answer."""
    sent = _request(_BEARER, method=method.encode(), target=target.encode())

    assert (await here.admin.send(sent)).statuses == [403]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(_request(_BEARER), id="200"),
        pytest.param(_request(_BEARER, method=b"HEAD"), id="200-head"),
        pytest.param(_request(), id="401"),
        pytest.param(_request(_BEARER, method=b"POST"), id="403"),
        pytest.param(_request(_BEARER, target=b"/nowhere"), id="404"),
        pytest.param(_request(_BEARER, _JSON, method=b"POST"), id="405"),
        pytest.param(_request(_BEARER, host=b"evil.example"), id="421"),
    ],
)
async def test_every_answer_forbids_what_a_browser_might_do_with_it(
    here: Here, sent: bytes
) -> None:
    """Errors are pages too: they must not be framed, sniffed or kept."""
    answers = await here.admin.send(sent)

    assert answers.header("X-Content-Type-Options") == "nosniff"
    assert answers.header("Cache-Control") == "no-store"
    assert answers.header("Referrer-Policy") == "no-referrer"
    assert answers.header("Cross-Origin-Resource-Policy") == "same-origin"
    policy = answers.header("Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x00\x01\x02\r\n\r\n", id="garbage"),
        pytest.param(b"\x16\x03\x01\x00\xf8" + bytes(240), id="tls-hello"),
        pytest.param(_request(_BEARER, b"X: " + b"a" * 9000), id="long-header"),
        pytest.param(_request(_BEARER, host=None), id="no-host"),
        pytest.param(_request(_BEARER, b"Host: evil.example"), id="two-hosts"),
        pytest.param(_request(_BEARER, b"Content-Encoding: br"), id="encoding"),
        pytest.param(_request(_BEARER, target=b"/\xff"), id="target-not-utf8"),
        pytest.param(_request(_BEARER, b"Expect: a-miracle"), id="expectation"),
    ],
)
async def test_bad_requests_get_no_traceback(here: Here, sent: bytes) -> None:
    """How the program is built inside is nobody's business but its developers'."""
    answers = await here.admin.send(sent)

    assert answers.closed
    assert set(answers.statuses) <= {400, 404, 417}
    assert b"Traceback" not in answers.raw
    assert b".py" not in answers.raw
