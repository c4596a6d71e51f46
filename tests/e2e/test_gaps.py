"""Webhooks that may never come: since when, and who finds out."""

from tests.e2e.watching import BOOKINGS_ONLY, HEARD, Watch
from tests.fakes import NOON


async def test_a_gap_begins_where_it_was_first_seen_and_whoever_ends_it(watch: Watch) -> None:
    """A person may be faster; and a message that comes by hand is no sign that nothing is lost."""
    [one] = await watch.roller.all()
    await watch.roller.delete(one["webhookId"])
    await watch.look()
    await watch.hear(NOON)
    await watch.roller.add(watch.url)
    assert watch.gaps == []
    await watch.look(after=300)
    assert (watch.lookout.state, watch.gaps) == ("registered", [HEARD])


async def test_a_new_installation_has_no_gap(newcomer: Watch) -> None:
    """What was before is for a first import, which a person begins."""
    await newcomer.roller.alone(newcomer.url, enabled=False)
    await newcomer.look()
    assert (newcomer.lookout.state, newcomer.gaps) == ("registered", [])


async def test_a_gap_that_was_open_at_a_crash_ends_when_all_is_well_again(watch: Watch) -> None:
    """Whoever looks next has not seen it begin."""
    await watch.roller.alone(watch.url, enabled=False)
    await watch.here.control("roller", "permissions", {"missing": ["PUT /webhooks"]})
    await watch.look()
    await watch.hear(NOON)
    await watch.here.control("roller", "permissions", {"missing": []})
    watch.lookout = watch.made()
    await watch.roller.alone(watch.url)
    await watch.look()
    assert (watch.lookout.state, watch.gaps) == ("registered", [HEARD])
    watch.lookout = watch.made()
    await watch.look()
    assert watch.gaps == [HEARD], "it was one gap"


async def test_another_webhook_in_place_of_ours_is_a_gap(watch: Watch) -> None:
    """Somebody was faster than the hourly look; what was between nobody has seen."""
    number = await watch.roller.alone(watch.url)
    await watch.look()
    await watch.hear(NOON + 1)
    watch.lookout = watch.made()
    second = await watch.roller.add(watch.url)
    await watch.look()
    await watch.roller.delete(number)
    await watch.look()
    assert watch.gaps == [], "the second was there before the first one went"
    await watch.roller.delete(second)
    await watch.roller.add(watch.url)
    await watch.look()
    assert watch.gaps == [NOON + 1]


async def test_whoever_was_away_for_longer_than_roller_tries_has_a_gap(watch: Watch) -> None:
    """It gives a message up after four days and an hour, and may have been switched on by hand."""
    await watch.roller.alone(watch.url)
    await watch.look()
    await watch.look(after=4 * 86_400)
    assert watch.gaps == []
    await watch.look(after=4 * 86_400 + 7200)
    assert watch.gaps == [HEARD]


async def test_one_that_differed_leaves_a_gap_too(watch: Watch) -> None:
    """What it left out never came."""
    await watch.roller.alone(watch.url)
    await watch.look()
    seen = watch.clock.now()
    await watch.roller.alone(watch.url, **BOOKINGS_ONLY)
    await watch.look()
    await watch.hear(seen + 1)
    assert watch.gaps == []
    await watch.roller.alone(watch.url)
    await watch.look()
    assert watch.gaps == [HEARD]
