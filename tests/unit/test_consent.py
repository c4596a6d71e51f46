"""Nobody is subscribed who did not say so, and nobody again who said no."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.consent import decide, remembered
from pipeline.model import Consent, GuestConsent, ToldConsent
from pipeline.plugin import ConsentFeeds
from tests.unit.made import NO, UNKNOWN, YES

_FEEDS = ConsentFeeds()
_RECORD = "leeds/1"
_OTHER = "york/2"
_consents = st.builds(GuestConsent, email=st.sampled_from(Consent), sms=st.sampled_from(Consent))
_feed = st.sampled_from(["email", "sms", "sms_or_email", "never"])
_feeds = st.builds(ConsentFeeds, data=_feed, email=_feed, sms=_feed)


def _says(email: Consent = UNKNOWN, sms: Consent = UNKNOWN) -> GuestConsent:
    return GuestConsent(email=email, sms=sms)


def _after(*said: GuestConsent, feeds: ConsentFeeds = _FEEDS) -> ToldConsent:
    """What is sent last to somebody whose source said these things, one after the other."""
    told: ToldConsent | None = None
    for now in said:
        told = decide(_RECORD, now, told, feeds)
    assert told is not None
    return told


@pytest.mark.parametrize(
    ("said", "email", "sms"),
    [
        (_says(YES, YES), True, True),
        (_says(YES, NO), True, False),
        (_says(NO, YES), False, True),
        (_says(NO, NO), False, False),
        (_says(YES, UNKNOWN), True, True),
        (_says(NO, UNKNOWN), False, False),
        (_says(UNKNOWN, YES), False, True),
        (_says(UNKNOWN, UNKNOWN), False, False),
    ],
    ids=lambda one: f"email {one.email}, sms {one.sms}" if isinstance(one, GuestConsent) else None,
)
def test_at_first_only_a_known_yes_is_a_yes(said: GuestConsent, email: bool, sms: bool) -> None:
    """An absent flag is not an agreement; e-mail stands for SMS while SMS was never asked."""
    told = _after(said)
    assert (told.data, told.email, told.sms) == (email, email, sms)


@pytest.mark.parametrize(
    ("said", "email", "sms"),
    [
        pytest.param([_says(YES), _says(NO)], False, False, id="opt-out"),
        pytest.param([_says(NO), _says(YES)], True, True, id="opt-in"),
        pytest.param([_says(YES), _says()], True, True, id="a flag that vanishes says nothing"),
        pytest.param([_says(NO), _says()], False, False, id="nor does it after a no"),
        pytest.param([_says(), _says(YES)], True, True, id="first answer later"),
        pytest.param([_says(YES), _says(), _says(NO)], False, False, id="opt-out after silence"),
        pytest.param([_says(YES), _says(YES, NO)], True, False, id="the first SMS answer is a no"),
        pytest.param([_says(NO), _says(NO, YES)], False, True, id="the first SMS answer is a yes"),
        pytest.param(
            [_says(YES, NO), _says(YES)], True, False, id="a forgotten SMS no is still a no"
        ),
        pytest.param([_says(YES, YES), _says(NO, YES)], False, True, id="each channel by itself"),
        pytest.param([_says(YES, NO), _says(NO), _says(YES)], True, False, id="back and forth"),
    ],
)
def test_later_only_changes_count(said: list[GuestConsent], email: bool, sms: bool) -> None:
    """What was agreed stands until the guest says otherwise."""
    told = _after(*said)
    assert (told.email, told.sms) == (email, sms)


def test_what_was_sent_is_kept_while_the_source_says_the_same() -> None:
    """The destination may know better (an opt-out there), and the first no may be an empty box."""
    behind = {_RECORD: _says(NO, NO)}
    told = ToldConsent(data=True, email=True, sms=False, behind=behind)
    assert decide(_RECORD, _says(NO, NO), told, _FEEDS) == told
    behind = {_RECORD: _says(YES, YES)}
    told = ToldConsent(data=False, email=False, sms=False, behind=behind)
    assert decide(_RECORD, _says(YES, YES), told, _FEEDS) == told


def test_one_records_old_yes_does_not_undo_anothers_no() -> None:
    """The same person books at two venues, and has said no at one of them since."""
    told = decide(_RECORD, _says(YES), None, _FEEDS)
    told = decide(_OTHER, _says(NO), told, _FEEDS)
    assert (told.data, told.email, told.sms) == (False, False, False)
    told = decide(_RECORD, _says(YES), told, _FEEDS)
    assert (told.data, told.email, told.sms) == (False, False, False)


def test_a_further_record_may_only_lower_at_first_and_is_heard_when_it_changes() -> None:
    """Its yes may be older than the no that was given elsewhere; a new yes is one."""
    told = decide(_RECORD, _says(NO, NO), None, _FEEDS)
    told = decide(_OTHER, _says(YES, YES), told, _FEEDS)
    assert (told.data, told.email, told.sms) == (False, False, False)
    told = decide(_OTHER, _says(NO, YES), told, _FEEDS)
    told = decide(_OTHER, _says(YES, YES), told, _FEEDS)
    assert (told.data, told.email, told.sms) == (True, True, False)


def test_a_channel_that_is_fed_from_nothing_any_more_is_no() -> None:
    """A venue that stops marketing by SMS means those who agreed before, too."""
    told = decide(_RECORD, _says(YES, YES), None, _FEEDS)
    some = decide(_RECORD, _says(YES, YES), told, ConsentFeeds(sms="never"))
    assert (some.data, some.email, some.sms) == (True, True, False)
    feeds = ConsentFeeds(data="never", email="never", sms="never")
    none = decide(_RECORD, _says(YES, YES), told, feeds)
    assert (none.data, none.email, none.sms) == (False, False, False)


@given(st.lists(_consents, min_size=1, max_size=5), _feeds)
def test_nobody_is_opted_in_without_a_yes(said: list[GuestConsent], feeds: ConsentFeeds) -> None:
    """The promise to every guest, whatever the order of answers and the configuration."""
    told = _after(*said, feeds=feeds)
    yes = any(YES in (one.email, one.sms) for one in said)
    assert yes or not (told.data or told.email or told.sms)


@given(st.lists(_consents, max_size=5), _feeds)
def test_a_no_is_obeyed_at_once(said: list[GuestConsent], feeds: ConsentFeeds) -> None:
    """Whatever came before, the guest who takes both back gets nothing any more."""
    told = _after(*said, _says(YES, YES), _says(NO, NO), feeds=feeds)
    assert (told.data, told.email, told.sms) == (False, False, False)


@given(st.lists(_consents, min_size=1, max_size=5), _feeds)
def test_saying_it_again_changes_nothing(said: list[GuestConsent], feeds: ConsentFeeds) -> None:
    """Repeated webhooks are the rule."""
    assert _after(*said, said[-1], feeds=feeds) == _after(*said, feeds=feeds)


@given(st.lists(_consents, min_size=1, max_size=5))
def test_never_is_never(said: list[GuestConsent]) -> None:
    """A venue may decide not to market by SMS at all."""
    told = _after(*said, feeds=ConsentFeeds(sms="never"))
    assert told.sms is False


@given(_consents, _consents)
def test_the_unknown_is_remembered_as_it_was(before: GuestConsent, now: GuestConsent) -> None:
    """Otherwise a flag that comes and goes would look like a change."""
    kept = remembered(now, before)
    assert kept.email == (before.email if now.email is UNKNOWN else now.email)
    assert kept.sms == (before.sms if now.sms is UNKNOWN else now.sms)
