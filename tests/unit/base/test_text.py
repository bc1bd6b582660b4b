"""Numbers and words as people read them."""

import pytest

from penstock.base.text import count, duration, harmless, size


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 records"), (1, "1 record"), (2, "2 records"), (1_234_567, "1,234,567 records")]
)
def test_a_count_has_its_noun_in_the_right_form(number, words):
    assert count(number, "record") == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (12.3, "12 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (60, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.9, "1 h 00 min"),
        (7800, "2 h 10 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (2**20, "1.0 MiB"),
        (7.3 * 2**20, "7.3 MiB"),
        (5 * 2**30, "5.0 GiB"),
        (3 * 2**40, "3.0 TiB"),
        (5000 * 2**40, "5000.0 TiB"),
    ],
)
def test_a_size_has_the_unit_that_suits_it(size_bytes, words):
    assert size(size_bytes) == words


@pytest.mark.parametrize("text", ["plain", "tab\there", "Grüße, 漢字, 🙂", ""])
def test_harmless_text_stays_as_it_is(text):
    assert harmless(text) == text


@pytest.mark.parametrize(
    "character",
    ["\x00", "\x07", "\x08", "\n", "\r", "\x1b", "\x7f", "\x9b", "\u200e", "\u202e", "\u2028", "\ud800", "\ufeff"],
)
def test_a_character_that_could_steer_a_terminal_is_replaced(character):
    assert harmless(f"a{character}b") == "a\N{REPLACEMENT CHARACTER}b"
