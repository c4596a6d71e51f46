"""What /metrics tells of a daemon at work, to Prometheus and to its linter."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline import __version__
from pipeline.client import call
from tests.e2e.world import World, world

#: The names without _total, and their labels.
_NAMES = {
    "pipeline_events": {"source", "kind", "result"},
    "pipeline_ack_seconds": set(),
    "pipeline_commit_seconds": set(),
    "pipeline_commit_rows": set(),
    "pipeline_items": {"stage", "state"},
    "pipeline_oldest_waiting_seconds": {"stage"},
    "pipeline_requests": {"peer", "method", "status"},
    "pipeline_request_seconds": {"peer"},
    "pipeline_deliveries": {"destination", "state"},
    "pipeline_budget_used": {"destination"},
    "pipeline_budget_limit": {"destination"},
    "pipeline_rate_limited": {"destination"},
    "pipeline_conservation_difference": set(),
    "pipeline_last_event_timestamp_seconds": {"source"},
    "pipeline_build_info": {"version"},
}

#: ROLLER's subscription is first looked at some time after the start.
_WITHOUT_VALUES = {"pipeline_source_webhook_enabled"}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def _text(here: World) -> str:
    answer = await call(here.config.server, "GET", "/metrics")
    assert answer is not None
    return answer.decode()


def _samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, tuple(sorted(labels.items()))), 0.0)


async def test_they_count_what_happened(tmp_path: Path) -> None:
    """A graph that is wrong is worse than none."""
    async with world(tmp_path) as here, here.running():
        await here.book(booking={})
        await here.settled()
        body = b'{"id": "twice", "type": 9, "data": {}}'
        for _ in range(2):
            assert await here.post(body) == 200
        assert await here.post(b"no JSON") == 200
        assert await here.post(body, key="wrong") == 503
        assert await here.post(body, source="nobody") == 503
        await here.settled()
        samples = _samples(await _text(here))

    def events(source: str, kind: str, result: str) -> float:
        name = "pipeline_events_total"
        return _value(samples, name, source=source, kind=kind, result=result)

    assert events("leeds", "booking", "accepted") == 1
    assert events("leeds", "other", "accepted") == 1
    assert events("leeds", "other", "duplicate") == 1
    assert events("leeds", "other", "unreadable") == 1
    assert events("leeds", "other", "unauthorized") == 1
    assert events("unknown", "other", "unauthorized") == 1
    assert _value(samples, "pipeline_ack_seconds_count") == 4
    assert _value(samples, "pipeline_items", stage="events", state="done") == 1
    assert _value(samples, "pipeline_items", stage="events", state="parked") == 1
    assert _value(samples, "pipeline_oldest_waiting_seconds", stage="events") == 0
    stampede = ("peer", "stampede.stampede")
    posted = [
        n
        for (name, labels), n in samples.items()
        if name == "pipeline_requests_total" and stampede in labels
    ]
    assert sum(posted) == _value(samples, "pipeline_budget_used", destination="stampede")
    delivered = {"destination": "stampede", "state": "delivered"}
    assert _value(samples, "pipeline_deliveries_total", **delivered) == sum(posted) - 1
    assert _value(samples, "pipeline_conservation_difference") == 0
    assert ("pipeline_conservation_difference", ()) in samples
    assert _value(samples, "pipeline_build_info", version=__version__) == 1
    assert _value(samples, "pipeline_last_event_timestamp_seconds", source="leeds") > 1.7e9


async def test_all_that_is_promised_is_there_with_its_labels_and_no_other(tmp_path: Path) -> None:
    """Dashboards and alerts are written against these names."""
    async with world(tmp_path) as here, here.running():
        await here.book(booking={})
        await here.settled()
        families = {one.name: one for one in text_string_to_metric_families(await _text(here))}
    assert set(families) == set(_NAMES) | _WITHOUT_VALUES
    for name, labels in _NAMES.items():
        one = families[name]
        found = {label for sample in one.samples for label in sample.labels}
        assert one.samples, name
        assert found == labels | ({"le"} if one.type == "histogram" else set()), name
        assert one.documentation


async def test_the_linter_of_prometheus_finds_nothing(tmp_path: Path) -> None:
    """It knows the conventions better than we do."""
    linter = shutil.which("promtool")
    if linter is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    async with world(tmp_path) as here, here.running():
        await here.book(booking={})
        await here.settled()
        text = await _text(here)
    done = await asyncio.to_thread(
        subprocess.run, [linter, "check", "metrics"], input=text, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr + done.stdout) == (0, "")
