"""Cutting JSON: an array's values become lines, untouched."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_guest.reading import InputError
from tests.unit.guest.inputs import blocks_of, failures_of, places_of, records_of

TEXTS = st.text(alphabet='a"\\{}[],\né', max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def lines_of(blocks):
    """Parse every line; a value need not be a record here."""
    return [json.loads(line) for block in blocks for line in block.payload.split(b"\n") if line]


@given(st.lists(VALUES, max_size=8), st.sampled_from([None, 1]), st.booleans(), st.integers(1, 60), st.integers(1, 3))
def test_an_array_gives_its_values(values, indent, ascii_only, window_bytes, records_max):
    content = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    blocks = blocks_of(content, "in.json", piece_bytes=5, window_bytes=window_bytes, records_max=records_max)
    assert lines_of(blocks) == values
    assert all(block.records == records_max for block in blocks[:-1])


@given(st.lists(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=3), max_size=5), st.integers(1, 60))
def test_objects_that_follow_one_another_are_records(records, window_bytes):
    content = "\n".join(json.dumps(record, indent=2) for record in records).encode()
    assert records_of(blocks_of(content, "in.json", piece_bytes=5, window_bytes=window_bytes)) == records


def test_a_json_file_may_hold_one_object():
    assert records_of(blocks_of(b'{\n  "a": [1,\n 2]\n}\n', "in.json")) == [{"a": [1, 2]}]


def test_a_json_file_may_be_ndjson():
    blocks = blocks_of(b'{"a":1}\n{"a":2}\n{"a":\n{"a":4}\n', "in.json")
    assert records_of(blocks) == [{"a": 1}, {"a": 2}, "ndjson_record_invalid", {"a": 4}]
    assert places_of(blocks)[3] == (None, 4, 4)


def test_ndjson_is_recognised_though_its_first_line_is_bad():
    assert records_of(blocks_of(b'{"a":\n{"a":2}\n', "in.json")) == ["ndjson_record_invalid", {"a": 2}]


@pytest.mark.parametrize("content", [b"[]", b"", b" \n", b"[ ]\n", b"\xef\xbb\xbf[]"])
def test_an_empty_array_or_file_is_no_record(content):
    assert blocks_of(content, "in.json") == []


def test_values_go_on_byte_for_byte_but_for_line_ends():
    content = b'[{"n":\n 12345678901234567890.10}\n,\n{"a" : 1e2}]'
    assert blocks_of(content, "in.json")[0].payload == b'{"n":\r 12345678901234567890.10}\n{"a" : 1e2}\n'


def test_a_line_end_inside_a_string_is_not_mended():
    assert records_of(blocks_of(b'[{"a":"x\ny"},{"a":1}]', "in.json")) == ["ndjson_record_invalid", {"a": 1}]


def test_a_value_that_is_no_object_harms_only_itself():
    blocks = blocks_of(b'[{"a":1},[2],3,"x",null,{"a":}, {"a":7}]', "in.json")
    assert records_of(blocks) == [{"a": 1}, *["ndjson_record_invalid"] * 5, {"a": 7}]


def test_records_of_an_array_are_found_by_number():
    blocks = blocks_of(b'[\n{"a":1},\n{"a":2}]', "in.json", records_max=1)
    assert places_of(blocks) == [(None, 1, None), (None, 2, None)]


@pytest.mark.parametrize(
    ("content", "code", "message", "offset_bytes"),
    [
        (b'[{"a":1} {"a":2}]', "json_invalid", "value 1: expected ',' or ']', found '{'", 9),
        (b'[{"a":1},]', "json_invalid", "value 1: expected a value, found ']'", 9),
        (b'[{"a":1}]x', "json_invalid", "value 1: expected nothing after the array, found something else", 9),
        (b'[{"a":1},{"a":[2}', "json_truncated", "value 2: expected the end of value 2, found the end of the file", 9),
        (b'[{"a":1},', "json_truncated", "value 1: expected a value, found the end of the file", 10),
        (b'[{"a":"x', "json_truncated", "value 1: expected the end of value 1, found the end of the file", 1),
        (b"id,name\n1,2\n", "json_invalid", "expected JSON, '{' or '[', found other text", 0),
    ],
)
def test_what_is_no_json_is_an_error_with_its_place(content, code, message, offset_bytes):
    with pytest.raises(InputError) as caught:
        blocks_of(content, "in.json")
    assert (caught.value.code, caught.value.message, caught.value.offset_bytes) == (code, message, offset_bytes)


@given(st.integers(10, 300), st.integers(10, 300))
def test_a_value_larger_than_a_block_costs_only_itself(piece_bytes, window_bytes):
    large = json.dumps({"t": 'x"\\{[' * 300, "n": [[1, 2], {"deep": "}"}] * 20})
    content = f'[{{"a":1}}, {large} ,{{"a":2}}]'.encode()
    blocks = blocks_of(content, "in.json", bytes_max=500, piece_bytes=piece_bytes, window_bytes=window_bytes)
    assert records_of(blocks) == [{"a": 1}, {"a": 2}]
    assert failures_of(blocks) == [("record_too_large", None)]
    [failure] = [failure for block in blocks for failure in block.failures]
    assert failure.record == 2
    assert f"{len(large):,} bytes" in failure.message


@pytest.mark.parametrize("large", [b"1" * 5000, b'"' + b"x" * 5000 + b'"'])
@pytest.mark.parametrize("end", [b",7]", b"]"])
def test_a_large_value_may_be_of_any_kind(large, end):
    blocks = blocks_of(b"[1," + large + end, "in.json", bytes_max=500, piece_bytes=100, window_bytes=100)
    assert failures_of(blocks) == [("record_too_large", None)]
    assert lines_of(blocks) == ([1, 7] if end.startswith(b",") else [1])
