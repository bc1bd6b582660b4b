"""What is kept of what receivers of alerts say."""

from __future__ import annotations

import pytest

from penstock.core.alerts import without_secrets


@pytest.mark.parametrize(
    ("words", "secret", "kept"),
    [
        ("403 for token xoxb-12345", "xoxb-12345", "403 for token ***"),
        ("hooks.example.com refuses abcd1234", "https://hooks.example.com/abcd1234", "*** refuses ***"),
        ("login as pen@home failed", "pen%40home", "login as *** failed"),
        ("the receiver says 500", "T1/B2", "the receiver says 500"),
        ("nothing", "", "nothing"),
    ],
)
def test_no_part_of_a_secret_is_left(words, secret, kept):
    assert without_secrets(words, [secret]) == kept
