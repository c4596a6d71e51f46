"""Faults, log, state and reset, which every simulated API has."""

import asyncio

import aiohttp
import pytest

from pipeline.sandbox.serve import serve
from pipeline.sandbox.settings import StampedeSettings
from pipeline.sandbox.stampede import stampede_app
from tests.sandbox.conftest import Start
from tests.sandbox.support import Api, guest, stampede_token, until


async def test_every_request_of_the_vendor_is_logged_and_none_of_the_sandbox(
    stampede: Api,
) -> None:
    """Tests prove from the log what was sent, when, and that nothing else was."""
    await stampede.get("/v1/venues?limit=5")
    await stampede.get("/nowhere")
    await stampede.state()
    log = await stampede.log()
    assert [(entry["method"], entry["path"], entry["status"]) for entry in log] == [
        ("POST", "/oauth/token", 200),
        ("GET", "/v1/venues", 200),
        ("GET", "/nowhere", 404),
    ]
    assert log[0]["at"] <= log[1]["at"]
    assert log[0]["time"].endswith("Z")
    assert (await stampede.state())["requests"] == 3


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (b'{"kind": "explode"}', "$.kind"),
        (b'{"kind": "500", "rate": 2}', "$.rate"),
        (b'{"kind": "500", "count": 0}', "$.count"),
        (b'{"kind": "500", "pth": "/v1"}', "pth"),
        (b"{}", "kind"),
        (b"not json", "malformed"),
    ],
)
async def test_a_bad_fault_is_refused_with_a_sentence(
    stampede: Api, fault: bytes, complaint: str
) -> None:
    """A fault that is misspelt and silently ignored would make a test pass for no reason."""
    answer = await stampede.send("POST", "/_sandbox/faults", fault)
    assert answer.status == 400
    assert complaint in answer.json["error"]
    assert (await stampede.state())["faults"] == []


async def test_a_status_fault_strikes_so_often_and_takes_no_effect(stampede: Api) -> None:
    """The commonest failure: the request never got through to the vendor's application."""
    await stampede.fault(kind="500", count=2)
    for _ in range(2):
        answer = await stampede.post("/v1/guests", guest())
        assert answer.status == 500
        assert answer.json["code"] == 500
    assert (await stampede.state())["guests"] == []
    assert (await stampede.post("/v1/guests", guest())).status == 201
    assert (await stampede.state())["faults"][0]["struck"] == 2


async def test_a_status_fault_may_quote_what_it_refuses(stampede: Api) -> None:
    """Whoever logs what a peer says would else never see what it may say."""
    await stampede.fault(kind="400", quotes=True)
    answer = await stampede.post("/v1/guests", {"email": "ada@example.com"})
    assert (answer.status, b"ada@example.com" in answer.body) == (400, True)


@pytest.mark.parametrize("path", ["/v1/guests", "/v1/g…", "/v1/*/", "/v1/…/tags"])
async def test_a_fault_strikes_only_where_it_is_wanted(stampede: Api, path: str) -> None:
    """One endpoint down, the others up: the daemon's lanes must not notice each other."""
    await stampede.fault(kind="503", path=path)
    assert (await stampede.get("/v1/guests/x/tags")).status == 503
    assert (await stampede.get("/v1/venues")).status == 200


async def test_a_fault_may_strike_one_method_only(stampede: Api) -> None:
    """Reading works while writing fails."""
    await stampede.fault(kind="500", method="POST")
    assert (await stampede.post("/v1/guests", guest())).status == 500
    assert (await stampede.get("/v1/guests")).status == 200


async def test_several_faults_are_active_at_once_and_all_end_together(stampede: Api) -> None:
    """The first that concerns a request strikes; when it is spent, the next does."""
    await stampede.fault(kind="429", count=1, retry_after=7)
    await stampede.fault(kind="502")
    first, second = await stampede.get("/v1/venues"), await stampede.get("/v1/venues")
    assert (first.status, first.headers["Retry-After"]) == (429, "7")
    assert (second.status, "Retry-After" in second.headers) == (502, False)
    assert (await stampede.call("DELETE", "/_sandbox/faults")).status == 200
    assert (await stampede.get("/v1/venues")).status == 200


async def test_a_fault_strikes_about_as_often_as_its_rate(stampede: Api) -> None:
    """A rate of one fifth neither never nor always strikes."""
    await stampede.fault(kind="500", rate=0.2)
    statuses = [(await stampede.get("/v1/venues")).status for _ in range(80)]
    assert 5 <= statuses.count(500) <= 30


async def test_a_timeout_never_answers(stampede: Api) -> None:
    """The client alone decides how long it waits; the log has no status for it."""
    await stampede.fault(kind="timeout", count=1)
    with pytest.raises(TimeoutError):
        await stampede.post("/v1/guests", guest(), timeout=0.1)
    entry = (await stampede.log())[-1]
    assert (entry["status"], entry["fault"]) == (None, "timeout")
    assert (await stampede.state())["guests"] == []


async def test_a_client_that_gives_up_leaves_nothing_behind(stampede: Api) -> None:
    """A long test with many time-outs must not fill the server with waiting requests."""
    before = len(asyncio.all_tasks())
    await stampede.fault(kind="timeout", count=3)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await stampede.post("/v1/guests", guest(), timeout=0.05)

    async def gone() -> bool:
        return len(asyncio.all_tasks()) <= before

    await until(gone)


async def test_a_reset_breaks_the_connection(stampede: Api) -> None:
    """The client sees a reset connection, not an answer."""
    await stampede.fault(kind="reset", count=1)
    with pytest.raises((ConnectionResetError, aiohttp.ClientOSError)):
        await stampede.post("/v1/guests", guest())
    entry = (await stampede.log())[-1]
    assert (entry["status"], entry["fault"]) == (None, "reset")
    assert (await stampede.post("/v1/guests", guest())).status == 201


@pytest.mark.parametrize("after", [False, True])
async def test_garbage_is_a_success_that_is_not_json(stampede: Api, after: bool) -> None:
    """A 200 whose body is not what the call promises is no success."""
    await stampede.fault(kind="garbage", count=1, after=after)
    answer = await stampede.post("/v1/guests", guest())
    assert answer.status == 200
    with pytest.raises(ValueError, match=r"malformed|truncated"):
        _ = answer.json
    assert len((await stampede.state())["guests"]) == after


@pytest.mark.parametrize("kind", ["500", "timeout", "reset", "slow"])
async def test_a_fault_after_the_effect_loses_only_the_answer(stampede: Api, kind: str) -> None:
    """The hard case of every bridge: done, and nobody knows."""
    await stampede.fault(kind=kind, after=True, delay=30, count=1)
    try:
        answer = await stampede.post("/v1/guests", guest(), timeout=0.1)
    except (TimeoutError, OSError):
        answer = None
    assert answer is None or answer.status == 500
    assert [g["email"] for g in (await stampede.state())["guests"]] == ["ada@example.com"]


async def test_a_slow_answer_comes_and_takes_its_effect(stampede: Api) -> None:
    """Slow is not lost; who gives up before the effect, though, prevents it."""
    await stampede.fault(kind="slow", delay=0.05, count=1)
    assert (await stampede.post("/v1/guests", guest())).status == 201
    await stampede.fault(kind="slow", delay=30, count=1)
    with pytest.raises(TimeoutError):
        await stampede.post("/v1/guests", guest("late@example.com"), timeout=0.1)
    assert len((await stampede.state())["guests"]) == 1


async def test_a_struck_request_counts_against_the_allowance(start: Start) -> None:
    """The vendor may have counted a request whose answer was lost, so the sandbox does."""
    api = await start(stampede_app(StampedeSettings(requests=3)))
    await api.fault(kind="500", count=2)
    for _ in range(2):
        assert (await api.get("/v1/venues")).status == 500
    assert (await stampede_token(api)).status == 200
    assert (await api.get("/v1/venues")).status == 429


async def test_reset_goes_back_to_the_start(stampede: Api) -> None:
    """One sandbox serves many tries."""
    await stampede.post("/v1/guests", guest())
    await stampede.fault(kind="500")
    assert (await stampede.post("/_sandbox/reset", {})).status == 200
    state = await stampede.state()
    assert (state["guests"], state["faults"], state["requests"]) == ([], [], 0)
    assert state["allowance"]["used"] == 0
    assert await stampede.log() == []


async def arrived(api: Api) -> bool:
    return bool(await api.log())


async def test_closing_does_not_wait_for_requests_that_are_never_answered() -> None:
    """Tests and Ctrl-C end at once, whatever hangs."""
    async with aiohttp.ClientSession() as session:
        async with serve(stampede_app()) as url:
            api = Api(session, url)
            await api.fault(kind="timeout")
            hanging = asyncio.create_task(api.post("/v1/guests", guest(), timeout=30))
            await until(lambda: arrived(api))
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 0.5
        with pytest.raises(aiohttp.ClientError):
            await hanging
