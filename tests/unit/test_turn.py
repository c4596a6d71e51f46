"""The venues of a class go one after the other, and classes one before the other."""

from pipeline.model import Priority
from pipeline.outbox import Line
from pipeline.turn import Turn


def _named(lines: list[Line]) -> list[tuple[int, str]]:
    return [(line.priority, line.source) for line in lines]


def test_classes_go_one_before_the_other() -> None:
    """A new booking does not wait behind a backlog of tags, whosever they are."""
    lines = Turn(["york", "leeds"]).lines(Priority.NEW)
    assert _named(lines) == [(1, "leeds"), (1, "york"), (2, "leeds"), (2, "york")]


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
        assert [line.source for line in turn.lines(Priority.NEW)][3:] == order


def test_each_class_has_a_turn_of_its_own() -> None:
    """A venue of many bookings would else never come to tell its tags."""
    turn = Turn(["leeds", "york"])
    turn.served(Priority.NEW, "leeds")
    assert _named(turn.lines(Priority.BACKFILL))[2:6] == [
        (2, "york"), (2, "leeds"), (3, "leeds"), (3, "york")
    ]  # fmt: skip


def test_who_is_not_admitted_has_no_line_but_for_opt_outs() -> None:
    """A venue that floods has had its share of the reserve; whoever opts out waits for nobody."""
    lines = Turn(["leeds", "york"]).lines(Priority.NEW, lambda source: source == "york")
    assert _named(lines) == [(1, "leeds"), (1, "york"), (2, "york")]


def test_a_venue_by_itself_has_all_to_itself() -> None:
    """There is nobody for whom anything were to be kept."""
    lines = Turn(["leeds"]).lines(Priority.NEW, lambda _: False)
    assert _named(lines) == [(1, "leeds"), (2, "leeds")]


def test_the_lesser_classes_are_visits_and_tags() -> None:
    """Backfill has all the time in the world."""
    assert _named(Turn(["leeds"]).lesser()) == [(4, "leeds"), (5, "leeds")]


def test_what_was_begun_goes_on_before_another_venues_turn() -> None:
    """A guest who was looked up would have to be looked up again, round after round."""
    turn = Turn(["a", "b", "c"])
    turn.served(Priority.BACKFILL, "a")
    turn.goes_on(Priority.BACKFILL, "a")
    lines = [line.source for line in turn.lines(Priority.BACKFILL) if line.priority == 6]
    assert lines == ["a", "b", "c"]
