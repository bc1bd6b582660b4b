"""The envelope of a request is split off its records, which stay the bytes they are."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.envelope import as_lines, split_envelope
from penstock.core.errors import RequestInvalid

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("records", "lines"),
    [
        (b'[{"a": 1}, {"a": [1, {"b": "},{"}]}]', b'{"a": 1}\n{"a": [1, {"b": "},{"}]}\n'),
        (b'{"a": 1}', b'{"a": 1}\n'),
        (b'[ {"a":\n1}\r\n,\n{"b": "\\n"} ]', b'{"a": 1}\n{"b": "\\n"}\n'),
        (b"[]", None),
        (b"[1, 2]", None),
        (b'[{"a": 1}, 2]', None),
        (b'[{"a": 1},]', None),
        (b'[{"a": 1} {"b": 2}]', None),
    ],
)
def test_records_become_lines_when_all_of_them_are_objects(records, lines):
    assert as_lines(records) == lines


@given(
    st.lists(st.dictionaries(st.text(max_size=8), JSON, max_size=4), max_size=4),
    st.dictionaries(st.text(max_size=8).filter(lambda name: name != "input"), st.text(max_size=8), max_size=4),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_whatever_is_valid_is_split_into_its_parts(records, options, indent, ascii_only):
    body = json.dumps({**options, "input": records, "z": 1}, indent=indent, ensure_ascii=ascii_only)
    try:
        encoded = body.encode()
    except UnicodeEncodeError:
        return
    try:
        envelope = split_envelope(encoded)
    except RequestInvalid:
        assert "\\ud" in body  # half a surrogate: JSON can write it, and UTF-8 cannot
        return
    assert envelope.options == {**options, "z": 1}
    assert envelope.records is not None
    assert json.loads(envelope.records) == records
    lines = as_lines(envelope.records)
    assert [json.loads(line) for line in (lines or b"").splitlines()] == records


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_comes_is_split_or_refused(noise):
    for body in (noise, b'{"script":"x","input":' + noise + b"}", b'{"input":[],' + noise):
        try:
            envelope = split_envelope(body)
        except RequestInvalid:
            continue
        assert envelope.blob is not None or envelope.records is not None


@given(JSON)
def test_what_is_refused_was_no_list_and_no_object(value):
    body = b'{"input":' + json.dumps(value).encode() + b"}"
    try:
        split_envelope(body)
    except RequestInvalid:
        assert not isinstance(value, list | dict)


def test_a_pointer_is_told_from_a_record_that_looks_like_one():
    assert split_envelope(b'{"input": {"blob": "a/b"}}').blob == "a/b"
    assert split_envelope(b'{"input": { "blob" : "\\u0061" } }').blob == "a"
    assert split_envelope(b'{"input": {"blob": "a", "more": 1}}').records == b'{"blob": "a", "more": 1}'
    assert split_envelope(b'{"input": [{"blob": "a"}]}').records == b'[{"blob": "a"}]'
    assert orjson.loads(split_envelope(b'{"input": {"blob": 1}}').records or b"") == {"blob": 1}
