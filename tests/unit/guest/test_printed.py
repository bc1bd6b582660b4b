"""What a script prints is kept, up to a bound."""

import pytest

from penstock_guest.printed import CHARACTERS_MAX, Printed


def test_what_is_printed_is_handed_over_once():
    printed = Printed()
    print("a", 1, file=printed)
    assert (printed.take(), printed.take()) == ("a 1\n", "")


def test_no_more_is_kept_than_there_is_room_for():
    printed = Printed()
    assert [printed.write("x" * 3000) for _ in range(3)] == [3000] * 3
    assert printed.take() == "x" * CHARACTERS_MAX


def test_a_flush_is_no_mistake():
    printed = Printed()
    print("a", file=printed, flush=True)
    assert printed.take() == "a\n"


def test_what_is_no_text_is_refused_as_a_file_would():
    with pytest.raises(TypeError, match="takes text, not bytes"):
        Printed().write(b"x")  # type: ignore[arg-type]  # that is the point
