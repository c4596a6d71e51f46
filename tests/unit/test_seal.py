"""People and payloads are remembered without being held."""

from pipeline.seal import Seal


def test_the_same_is_recognised_and_another_is_not() -> None:
    """That is all that is needed of a person."""
    seal = Seal(b"k" * 32)
    assert seal.person("anna@example.com") == seal.person("anna@example.com")
    assert seal.person("anna@example.com") != seal.person("bea@example.com")
    assert len(seal.digest(b"")) == 32


def test_two_outboxes_have_nothing_in_common() -> None:
    """A table of everybody's digests would be no use."""
    assert Seal(b"k" * 32).person("anna@example.com") != Seal(b"l" * 32).person("anna@example.com")


def test_the_key_does_not_show() -> None:
    """It is printed while debugging."""
    assert repr(Seal(b"k" * 32)) == "Seal(…)"
