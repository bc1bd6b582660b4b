"""Whether there is memory to write a value: what would crash orjson is an error of its record."""

import orjson
import pytest

from penstock.core.scripts import ChunkDeath
from penstock_guest.room import _long_texts, require_room
from tests.trying import end_of, letters_of, result_of

LONG = "def process(data):\n    return {'a': ['x' * data['n'] * 1_000_000], 'b': 1}\n"
BATCH = "def process_batch(records):\n    return [{'a': 'x' * record['n'] * 1_000_000} for record in records]\n"


def test_long_texts_are_found_however_deep():
    value = {"a": ["x" * 70_000, {"b": "y" * 10}], "k" * 80_000: ("z" * 90_000, b"w" * 100_000, 1.5, None)}
    assert sorted(_long_texts(value)) == [70_000, 80_000, 90_000, 100_000]


def test_what_holds_itself_is_not_looked_at_for_ever():
    value: list[object] = []
    value += [value, value]
    require_room(value)


def test_what_can_be_written_is_let_through_to_the_byte(sandbox):
    plain, careful = (result_of(sandbox, LONG, [{"n": 3}, {"n": 20}], careful=care) for care in (False, True))
    assert plain.output == careful.output
    assert len(orjson.loads(careful.output.splitlines()[1])["a"][0]) == 20_000_000


@pytest.mark.parametrize("source", [LONG, BATCH])
def test_an_output_too_large_to_be_written_is_named_by_the_limit(sandbox, source):
    assert isinstance(end_of(sandbox, source, [{"n": 100}]), ChunkDeath), "or it needs no care any more"
    (letter,) = letters_of(result_of(sandbox, source, [{"n": 100}], careful=True))
    assert letter["error"]["code"] == "limit_memory"
    assert "the memory limit of 512 MiB was reached; --memory raises it" in letter["error"]["message"]
