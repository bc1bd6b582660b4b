"""What a person reads of a value that is not valid says what would be, and quotes no regular expression."""

import re
from pathlib import Path
from typing import Literal

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from penstock import api
from penstock.api import words
from penstock.api.words import sentence_of


class Ask(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field("a", min_length=1, max_length=3, pattern=r"^[^\x00-\x1f\x7f]+$")
    count: int = Field(1, ge=1, le=1_000)
    at: AwareDatetime | None = None
    kind: Literal["csv", "ndjson"] = "csv"
    labels: dict[str, str] = Field(default_factory=dict, max_length=1)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"name": "a\n"}, "must be one line without control characters"),
        ({"name": ""}, "must not be empty"),
        ({"name": "abcd"}, "may have 3 characters at most"),
        ({"name": 5}, "must be a text"),
        ({"count": "many"}, "must be a whole number"),
        ({"count": 1_001}, "must be 1,000 or less"),
        ({"at": "tomorrow"}, "must be a time with its zone, such as 2026-01-31T08:00:00Z"),
        ({"at": "2026-01-01T00:00:00"}, "must be a time with its zone, such as 2026-01-31T08:00:00Z"),
        ({"kind": "xml"}, "must be 'csv' or 'ndjson'"),
        ({"labels": {"a": "1", "b": "2"}}, "may have 1 items at most"),
        ({"more": 1}, "is not known here; valid are name, count"),
    ],
)
def test_a_sentence_says_what_would_be_valid(value, sentence):
    with pytest.raises(ValidationError) as refused:
        Ask.model_validate(value)
    (item,) = refused.value.errors()
    assert sentence_of(item, known=["name", "count"]) == sentence


def test_every_pattern_of_the_api_has_words():
    folder = Path(str(api.__file__)).parent
    used: set[str] = set()
    for path in folder.rglob("*.py"):
        if path.name != "words.py":
            used |= set(re.findall(r"r\"(\^[^\"]+\$)\"", path.read_text()))
    assert used
    assert used <= set(words._PATTERNS)
