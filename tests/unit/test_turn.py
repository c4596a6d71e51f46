"""The venues of a class go one after the other, and classes one before the other."""

from pipeline.model import Priority
from pipeline.outbox import Line
from pipeline.turn import Begun, Turn


def _named(lines: list[Line]) -> list[tuple[int, str, bool]]:
    return [(line.priority, line.source, line.begun) for line in lines]


def _new(lines: list[Line]) -> list[tuple[int, str]]:
    """Name those of which nothing was sent yet."""
    return [(line.priority, line.source) for line in lines if not line.begun]


def test_classes_go_one_before_the_other() -> None:
    """A new booking does not wait behind a backlog of tags, whosever they are."""
    lines = Turn(["york", "leeds"]).lines(Priority.NEW)
    assert _new(lines) == [(1, "leeds"), (1, "york"), (2, "leeds"), (2, "york")]


def test_who_was_served_longest_ago_goes_first() -> None:
    """A venue that floods must wait for its turn like every other."""
    turn = Turn(["leeds", "york", "bath"])
    for served, order in (
        ("bath", ["leeds", "york", "bath"]),
        ("york", ["leeds", "bath", "york"]),
        ("leeds", ["bath", "york", "leeds"]),
        ("leeds", ["bath", "york", "leeds"]),
    ):
        turn.served(Priority.NEW, served)
        assert [source for _, source in _new(turn.lines(Priority.NEW))][3:] == order


def test_each_class_has_a_turn_of_its_own() -> None:
    """A venue of many bookings would else never come to tell its tags."""
    turn = Turn(["leeds", "york"])
    turn.served(Priority.NEW, "leeds")
    assert _new(turn.lines(Priority.BACKFILL))[2:6] == [
        (2, "york"), (2, "leeds"), (3, "leeds"), (3, "york")
    ]  # fmt: skip


def test_who_is_not_admitted_has_no_line_but_for_opt_outs() -> None:
    """A venue that floods has had its share of the reserve; whoever opts out waits for nobody."""
    lines = Turn(["leeds", "york"]).lines(Priority.NEW, lambda source: source == "york")
    assert _new(lines) == [(1, "leeds"), (1, "york"), (2, "york")]


def test_a_venue_by_itself_has_all_to_itself() -> None:
    """There is nobody for whom anything were to be kept."""
    lines = Turn(["leeds"]).lines(Priority.NEW, lambda _: False)
    assert _new(lines) == [(1, "leeds"), (2, "leeds")]


def test_the_lesser_classes_are_visits_and_tags() -> None:
    """Backfill has all the time in the world."""
    assert _new(Turn(["leeds"]).lesser()) == [(4, "leeds"), (5, "leeds")]


def test_what_was_begun_goes_on_before_another_venues_turn() -> None:
    """A guest who was looked up would have to be looked up again, round after round."""
    turn = Turn(["a", "b"])
    turn.served(Priority.BACKFILL, "a")
    assert _named(turn.lines(Priority.BACKFILL))[-4:] == [
        (6, "b", True), (6, "a", True), (6, "b", False), (6, "a", False)
    ]  # fmt: skip


def test_a_new_booking_is_begun_before_another_goes_on() -> None:
    """It waits for one request of each that came before it, and not for all of theirs."""
    lines = Turn(["a"]).lines(Priority.CHANGED, begun=Begun.LATER)
    assert _named(lines) == [
        (1, "a", True), (1, "a", False),
        (2, "a", False), (2, "a", True),
        (3, "a", True), (3, "a", False),
    ]  # fmt: skip


def test_the_last_slots_are_for_opt_outs_and_first_requests() -> None:
    """Nor may a changed booking have what one that was begun is denied."""
    lines = Turn(["a"]).lines(Priority.CHANGED, begun=Begun.NOT_YET)
    assert _named(lines) == [(1, "a", True), (1, "a", False), (2, "a", False)]
