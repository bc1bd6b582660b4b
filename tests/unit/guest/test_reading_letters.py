"""Dead letters as an input: what failed, to be tried again."""

import json

import pytest

from penstock_guest.reading.errors import InputError
from tests.unit.guest.inputs import blocks_of, records_of

LETTERS = [
    {"input": "a.ndjson", "record": 3, "line": 3, "error": {"code": "script_error"}, "data": {"id": 1, "n": 2**70}},
    {"input": "a.ndjson", "record": 9, "line": 9, "error": {"code": "ndjson_record_invalid"}, "raw": '{"id": 2}\n'},
    {"input": "a.ndjson", "record": 12, "line": 14, "error": {"code": "script_error"}, "data": {"text": "é\n"}},
]
CONTENT = "\n".join(map(json.dumps, LETTERS)).encode()


@pytest.mark.parametrize("piece_bytes", [1, 7, None])
def test_the_records_of_letters_come_out_as_they_were(piece_bytes):
    blocks = blocks_of(CONTENT, name="dead-letters.ndjson", format="dead-letters", piece_bytes=piece_bytes)
    assert records_of(blocks) == [{"id": 1, "n": 2**70}, {"id": 2}, {"text": "é\n"}]


@pytest.mark.parametrize("content", [b'{"data": {}}\n[1]\n', b"no JSON\n", b'{"error": {}}', b"\n"])
def test_what_is_no_letter_is_refused_with_its_line(content):
    with pytest.raises(InputError, match="not a dead letter") as refused:
        blocks_of(content, format="dead-letters")
    assert refused.value.line == content.rstrip(b"\n").count(b"\n") + 1


def test_a_line_without_end_is_refused_before_it_fills_the_memory():
    with pytest.raises(InputError, match="longer than any dead letter"):
        blocks_of(b"x" * 2_000_000, format="dead-letters", bytes_max=100, piece_bytes=100_000)
