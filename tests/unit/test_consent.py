"""Nobody is subscribed who did not say so, and nobody again who said no."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.consent import (
    History,
    Statement,
    decide,
    moves,
    opts_out,
    remembered,
)
from pipeline.model import Consent, GuestConsent, Presence, ToldConsent
from pipeline.plugin import ConsentFeeds
from tests.unit.made import NO, UNKNOWN, YES

_FEEDS = ConsentFeeds()
_RECORD = "leeds/1"
_OTHER = "york/2"
_consents = st.builds(GuestConsent, email=st.sampled_from(Consent), sms=st.sampled_from(Consent))
_feed = st.sampled_from(["email", "sms", "sms_or_email", "never"])
_feeds = st.builds(ConsentFeeds, data=_feed, email=_feed, sms=_feed)
_there = st.builds(
    Presence, remote_id=st.just("g-1"), data=st.booleans(), email=st.booleans(), sms=st.booleans()
)
_ABSENT = Presence(remote_id=None)


def _says(email: Consent = UNKNOWN, sms: Consent = UNKNOWN) -> GuestConsent:
    return GuestConsent(email=email, sms=sms)


def _states(said: GuestConsent, record: str = _RECORD, at: int = 1) -> Statement:
    return Statement(record=record, said=said, at=at)


def _known(told: ToldConsent | None, *maybe: ToldConsent) -> History:
    """What a destination was told for certain, and may have been by registrations."""
    return History(told=told, maybe=maybe)


def _has(told: ToldConsent | None) -> Presence:
    """What a destination has that nobody has changed since it was told."""
    if told is None:
        return _ABSENT
    return Presence(remote_id="g-1", data=told.data, email=told.email, sms=told.sms)


def _told(statement: Statement, told: ToldConsent | None, **asked: Any) -> ToldConsent:
    """What is sent to a destination that has been asked."""
    presence = asked.get("presence", _has(told))
    feeds, trusting = asked.get("feeds", _FEEDS), asked.get("trusting", False)
    is_old = asked.get("is_old", False)
    sent = decide(statement, _known(told), presence, feeds, trusting=trusting, is_old=is_old)
    assert sent is not None
    return sent


def _after(*said: GuestConsent, feeds: ConsentFeeds = _FEEDS) -> ToldConsent:
    """What is sent last to somebody whose source said these things, one after the other."""
    told: ToldConsent | None = None
    for at, now in enumerate(said, start=1):
        told = _told(_states(now, at=at), told, feeds=feeds)
    assert told is not None
    return told


def _flags(told: ToldConsent) -> tuple[bool, bool, bool]:
    return told.data, told.email, told.sms


@pytest.mark.parametrize("trusting", [True, False])
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
def test_at_first_only_a_known_yes_is_a_yes(
    said: GuestConsent, email: bool, sms: bool, trusting: bool
) -> None:
    """An absent flag is not an agreement; e-mail stands for SMS while SMS was never asked."""
    presence = None if trusting else _ABSENT
    told = _told(_states(said), None, presence=presence, trusting=trusting)
    assert _flags(told) == (email, email, sms)


@pytest.mark.parametrize("said", [_says(YES, YES), _says(NO, NO), _says()], ids=str)
def test_a_destination_that_knows_the_person_already_keeps_what_it_has(said: GuestConsent) -> None:
    """An old yes must not undo an opt-out there, nor a box that nobody ticked an opt-in."""
    there = Presence(remote_id="g-1", data=True, email=False, sms=True)
    assert _flags(_told(_states(said), None, presence=there)) == (True, False, True)


def test_without_trust_a_new_person_is_looked_up_first() -> None:
    """Whether they are new there, nobody else can tell."""
    assert decide(_states(_says(YES, YES)), _known(None), None, _FEEDS, trusting=False) is None
    assert decide(_states(_says(YES, YES)), _known(None), None, _FEEDS, trusting=True) is not None


def test_who_was_told_is_looked_up_before_anything_is_repeated() -> None:
    """They may have unsubscribed there since, and a repeated yes would subscribe them again."""
    told = _after(_says(YES, YES))
    again = _states(_says(YES, YES), at=2)
    assert decide(again, _known(told), None, _FEEDS, trusting=True) is None
    there = Presence(remote_id="g-1", data=True, email=False, sms=False)
    assert _flags(_told(again, told, presence=there)) == (True, False, False)


def test_an_opt_out_of_everything_needs_no_look_up() -> None:
    """It goes out at once: nothing that is there has to be repeated."""
    told = _after(_says(YES, YES))
    sent = decide(_states(_says(NO, NO), at=2), _known(told), None, _FEEDS, trusting=False)
    assert sent is not None
    assert _flags(sent) == (False, False, False)


def test_an_opt_out_of_one_channel_leaves_the_others_as_they_are_there() -> None:
    """The call overwrites all three."""
    told = _after(_says(YES, YES))
    one = _states(_says(YES, NO), at=2)
    assert decide(one, _known(told), None, _FEEDS, trusting=True) is None
    there = Presence(remote_id="g-1", data=False, email=True, sms=True)
    assert _flags(_told(one, told, presence=there)) == (False, True, False)


@pytest.mark.parametrize(
    ("said", "email", "sms"),
    [
        pytest.param([_says(YES), _says(NO)], False, False, id="opt-out"),
        pytest.param([_says(NO), _says(YES)], True, True, id="opt-in"),
        pytest.param([_says(YES), _says()], True, True, id="a flag that vanishes says nothing"),
        pytest.param([_says(NO), _says()], False, False, id="nor does it after a no"),
        pytest.param([_says(), _says(YES)], False, False, id="a flag that appears is no change"),
        pytest.param([_says(), _says(NO), _says(YES)], True, True, id="but the next one is"),
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


@pytest.mark.parametrize(
    ("before", "now", "anew", "back"),
    [
        (_says(YES, YES), _says(YES, YES), False, False),
        (_says(YES, YES), _says(), False, False),
        (_says(NO, NO), _says(NO, NO), False, False),
        (_says(), _says(NO, NO), False, False),
        (_says(), _says(YES), False, False),
        (_says(NO, NO), _says(NO, YES), True, False),
        (_says(YES, YES), _says(NO, YES), True, True),
        (_says(YES, YES), _says(YES, NO), True, True),
    ],
    ids=str,
)
def test_what_is_new_is_known_without_asking(
    before: GuestConsent, now: GuestConsent, anew: bool, back: bool
) -> None:
    """An unchanged guest costs no request, and an opt-out goes before all else."""
    told = _after(before)
    assert moves(_states(now, at=2), _known(told), _FEEDS) is anew
    assert opts_out(_states(now, at=2), _known(told), _FEEDS) is back


def test_one_records_old_yes_does_not_undo_anothers_no() -> None:
    """The same person books at two venues, and has said no at one of them since."""
    told = _after(_says(YES))
    told = _told(_states(_says(NO), _OTHER, at=2), told)
    assert _flags(told) == (False, False, False)
    told = _told(_states(_says(YES), at=3), told)
    assert _flags(told) == (False, False, False)


def test_a_further_record_may_only_lower_at_first_and_is_heard_when_it_changes() -> None:
    """Its yes may be older than the no that was given elsewhere; a new yes is one."""
    told = _after(_says(NO, NO))
    told = _told(_states(_says(YES, YES), _OTHER, at=2), told)
    assert _flags(told) == (False, False, False)
    told = _told(_states(_says(NO, YES), _OTHER, at=3), told)
    told = _told(_states(_says(YES, YES), _OTHER, at=4), told)
    assert _flags(told) == (True, True, False)


def test_a_further_records_no_takes_back_what_was_sent() -> None:
    """It is the only word of this record, and the safer one."""
    told = _after(_says(YES, YES))
    no = _states(_says(NO, NO), _OTHER, at=2)
    assert opts_out(no, _known(told), _FEEDS)
    assert _flags(_told(no, told)) == (False, False, False)
    assert not opts_out(no, _known(_after(_says(NO, NO))), _FEEDS)


@pytest.mark.parametrize(("at", "told_yes"), [(2, False), (3, False), (4, True)])
def test_between_records_the_newest_change_wins_and_no_at_equal_times(
    at: int, told_yes: bool
) -> None:
    """They are sent in any order, for each waits for its own turn."""
    told = _after(_says(NO))
    told = _told(_states(_says(YES), _OTHER, at=2), told)
    told = _told(_states(_says(NO), _OTHER, at=3), told)
    told = _told(_states(_says(YES), at=at), told)
    assert told.email is told_yes


@pytest.mark.parametrize(("at", "told_yes"), [(2, True), (3, False), (4, False)])
def test_a_no_that_is_older_than_anothers_yes_does_not_undo_it(at: int, told_yes: bool) -> None:
    """The guest has changed their mind since, at the other venue."""
    told = _after(_says(YES))
    told = _told(_states(_says(NO), _OTHER, at=2), told)
    told = _told(_states(_says(YES), _OTHER, at=3), told)
    told = _told(_states(_says(NO), at=at), told)
    assert told.email is told_yes


def test_an_older_yes_of_another_record_does_not_overtake_a_no() -> None:
    """The no was sent first, for opt-outs go before all else."""
    told = _after(_says(NO, NO))
    told = _told(_states(_says(NO, NO), _OTHER, at=2), told)
    told = _told(_states(_says(YES, YES), _OTHER, at=5), told)
    told = _told(_states(_says(YES, YES), at=3), told)
    told = _told(_states(_says(NO, NO), _OTHER, at=6), told)
    assert _flags(told) == (False, False, False)
    late = _states(_says(YES, YES), at=4)
    assert not moves(late, _known(told), _FEEDS)


def test_who_was_told_and_is_gone_there_gets_no_yes_that_was_not_sent_last() -> None:
    """Another record may have taken it back."""
    yes = _states(_says(YES, YES), at=2)
    assert _flags(_told(yes, _after(_says(YES, YES)), presence=_ABSENT)) == (True, True, True)
    told = msgspec.structs.replace(_after(_says(YES, YES)), data=False, email=False, sms=False)
    assert _flags(_told(yes, told, presence=_ABSENT)) == (False, False, False)


def test_a_channel_that_is_fed_from_nothing_is_left_as_it_is_there() -> None:
    """The venue does not ask for it in ROLLER, but guests may have agreed elsewhere."""
    feeds = ConsentFeeds(sms="never")
    there = Presence(remote_id="g-1", data=True, email=True, sms=True)
    assert _flags(_told(_states(_says(YES, NO)), None, presence=there, feeds=feeds))[2] is True
    assert _flags(_told(_states(_says(YES, YES)), None, feeds=feeds))[2] is False


@given(st.lists(_consents, min_size=1, max_size=5), _feeds)
def test_nobody_is_opted_in_without_a_yes(said: list[GuestConsent], feeds: ConsentFeeds) -> None:
    """The promise to every guest, whatever the order of answers and the configuration."""
    told = _after(*said, feeds=feeds)
    yes = any(YES in (one.email, one.sms) for one in said)
    assert yes or not (told.data or told.email or told.sms)


@given(st.lists(_consents, max_size=5))
def test_a_no_is_obeyed_at_once(said: list[GuestConsent]) -> None:
    """Whatever came before, the guest who takes both back gets nothing any more."""
    told = _after(*said, _says(NO, NO), _says(YES, YES), _says(NO, NO))
    assert _flags(told) == (False, False, False)


@given(st.lists(st.tuples(_consents, st.sampled_from([_RECORD, _OTHER]), _there), max_size=8))
def test_an_opt_out_there_is_undone_only_by_a_yes_that_is_new(
    steps: list[tuple[GuestConsent, str, Presence]],
) -> None:
    """The worst that a bridge can do is to subscribe again whom it has not heard."""
    told, known = _after(_says(YES, YES)), {_RECORD: _says(YES, YES)}
    for at, (said, record, there) in enumerate(steps, start=2):
        before = known.get(record)
        sent = _told(_states(said, record, at=at), told, presence=there)
        for name, feeds_from in (("email", ("email",)), ("sms", ("sms", "email"))):
            if getattr(sent, name) and not getattr(there, name):
                assert before is not None
                known_before = remembered(before, None)
                assert any(
                    getattr(remembered(said, before), one) is YES
                    and NO in {getattr(known_before, other) for other in feeds_from}
                    for one in feeds_from
                )
        known[record] = remembered(said, before)
        told = sent


@given(st.lists(_consents, min_size=1, max_size=5), _feeds)
def test_saying_it_again_changes_nothing(said: list[GuestConsent], feeds: ConsentFeeds) -> None:
    """Repeated webhooks are the rule."""
    told = _after(*said, feeds=feeds)
    again = _states(said[-1], at=99)
    assert not moves(again, _known(told), feeds)
    assert _told(again, told, feeds=feeds) == told


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


@pytest.mark.parametrize("again", [True, False])
@given(_consents, _consents, _consents, _feeds)
def test_what_may_have_been_told_can_be_taken_back(
    again: bool, sent: GuestConsent, maybe: GuestConsent, now: GuestConsent, feeds: ConsentFeeds
) -> None:
    """As if it were known that it was told."""
    one, other = _after(sent, feeds=feeds), _after(sent, maybe, feeds=feeds)
    statement = _states(now, at=9)
    history = History(told=one, again=other) if again else _known(one, other)
    if opts_out(statement, _known(other), feeds):
        assert opts_out(statement, history, feeds)


def test_the_first_word_that_was_not_answered_can_be_taken_back() -> None:
    """The guest may be there now, with a yes that nobody knows of."""
    lost = History(again=_after(_says(YES, YES)))
    no = _states(_says(NO, NO), at=9)
    assert opts_out(no, lost, _FEEDS)
    sent = decide(no, lost, None, _FEEDS, trusting=False)
    assert sent is not None
    assert _flags(sent) == (False, False, False)


def test_a_call_that_is_made_again_says_its_yes_again() -> None:
    """Most that are not answered were not heard either, and the guest has just agreed."""
    told, lost = _after(_says(NO, NO)), _after(_says(NO, NO), _says(YES, YES))
    statement = _states(_says(YES, YES), at=9)
    sent = decide(statement, History(told=told, again=lost), None, _FEEDS, trusting=False)
    assert sent is not None
    assert _flags(sent) == (True, True, True)


def test_a_yes_that_may_have_been_registered_is_no_news() -> None:
    """That call is not made again, and the guest may have taken it back at the destination."""
    told, maybe = _after(_says(NO, NO)), _after(_says(NO, NO), _says(YES, YES))
    statement = _states(_says(YES, YES), at=9)
    assert moves(statement, _known(told), _FEEDS)
    assert not moves(statement, _known(told, maybe), _FEEDS)
    assert decide(statement, _known(told, maybe), None, _FEEDS, trusting=True) is None


def test_the_same_records_newest_word_counts_whatever_the_clock_said_before() -> None:
    """A clock that ran ahead when the yes was sent must not keep the no from being heard."""
    told = _told(_states(_says(YES, YES), at=900), _after(_says(NO, NO)))
    assert _flags(_told(_states(_says(NO, NO), at=5), told)) == (False, False, False)


def test_a_further_records_first_no_is_a_change_to_those_that_come_late() -> None:
    """A yes that was fetched before it, and sent after it, must not undo it."""
    told = _after(_says(NO, NO))
    told = _told(_states(_says(NO, NO), _OTHER, at=5), told)
    assert not moves(_states(_says(YES, YES), at=3), _known(told), _FEEDS)
    assert moves(_states(_says(YES, YES), at=6), _known(told), _FEEDS)


def test_what_is_old_may_still_take_back_and_nothing_else() -> None:
    """Who said yes to e-mail three hours ago may have said no since."""
    told = _after(_says(NO, YES))
    sent = _told(_states(_says(YES, NO), at=9), told, is_old=True)
    assert (sent.email, sent.sms) == (False, False)


def test_an_old_word_that_is_not_sent_makes_no_change_of_the_next() -> None:
    """The guest unsubscribed from SMS at the destination, and has said nothing new about it."""
    told = _after(_says(YES, YES))
    there = Presence(remote_id="g-1", data=True, email=True, sms=False)
    further = _says(NO, YES)
    sent = _told(_states(further, _OTHER, at=2), told, presence=there, is_old=True)
    assert _flags(sent) == (False, False, False)
    assert not moves(_states(further, _OTHER, at=3), _known(sent), _FEEDS)
