"""Decoding chunks: fast where the text is plain, exact where it is not, and a bad record is a value."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_guest.reading import Undecodable, decode

FIELDS = st.text(alphabet='ab",\n\r;é\x85\u2028 ', max_size=6)


def csv_of(rows, **options):
    text = io.StringIO(newline="")
    csv.writer(text, **options).writerows(rows)
    return text.getvalue().encode()


@given(st.lists(st.tuples(FIELDS, FIELDS), max_size=20), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_csv_fields_are_text_and_empty_ones_are_none(rows, quoting):
    records = list(decode("csv", csv_of([("a", "b"), *rows], quoting=quoting)))
    assert records == [{"a": left or None, "b": right or None} for left, right in rows]


@given(st.lists(st.tuples(FIELDS, FIELDS), max_size=10))
def test_line_says_where_each_record_begins(rows):
    content = csv_of([("a", "b"), *rows], lineterminator="\n", quoting=csv.QUOTE_ALL)
    records, begins, line = decode("csv", content), [], 0
    for row in rows:
        begins.append(line)
        line += 1 + "".join(row).count("\n")
    assert [records.line() for _ in records] == begins


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"1,2,3", "expected 2 fields, as the header has, found 3"),
        (b"1", "expected 2 fields, as the header has, found 1"),
        (b'"1\n2",2,3', "expected 2 fields, as the header has, found 3"),
        (b"1,\xff", "the record is not UTF-8"),
        (b'"1",\xe9\xe9', "the record is not UTF-8"),
        (b'"1"x,2', "the record is not valid CSV"),
    ],
)
def test_a_bad_csv_record_is_a_value_and_keeps_its_text(row, message):
    records = decode("csv", b"a,b\n1,2\n" + row + b"\n3,\xc3\xa9\n")
    found = []
    for record in records:
        found.append(record)
        if isinstance(record, Undecodable):
            assert (records.original(), records.line()) == (row, 1)
    assert found == [{"a": "1", "b": "2"}, Undecodable("csv_record_invalid", message), {"a": "3", "b": "é"}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a":', "the line is not valid JSON: unexpected end of data"),
        (b"[1]", "a record is a JSON object; found an array"),
        (b"1.5", "a record is a JSON object; found a number"),
        (b"null", "a record is a JSON object; found null"),
        (b'"x"', "a record is a JSON object; found a string"),
        (b"true", "a record is a JSON object; found a boolean"),
        (b'{"a":"\xff"}', "the line is not valid JSON: str is not valid UTF-8: surrogates not allowed"),
    ],
)
def test_a_bad_ndjson_record_is_a_value_and_keeps_its_text(line, message):
    records = decode("ndjson", b'{"a":1}\n\n' + line + b'\n \t\n{"a":2}')
    found = []
    for record in records:
        found.append(record)
        if isinstance(record, Undecodable):
            assert (records.original(), records.line()) == (line, 2)
    assert found == [{"a": 1}, Undecodable("ndjson_record_invalid", message), {"a": 2}]


@pytest.mark.parametrize("line", [b'{"a":NaN}', b"[" * 5000, b'{"a":' + b"1" * 5000 + b"}", b'{"a":1e999}', b"\x0b"])
def test_what_json_does_not_allow_is_a_value(line):
    [record] = decode("ndjson", line)
    assert isinstance(record, Undecodable)


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 2**64, -(2**63) - 1, 10**300])
def test_integers_keep_every_digit(number):
    records = [{"a": number, "b": [number]}, {"a": 1}]
    assert list(decode("ndjson", "\n".join(map(json.dumps, records)).encode())) == records


@pytest.mark.parametrize(("kind", "payload"), [("csv", b'a,b\n1,"[2]"\n'), ("ndjson", b'{"a":"1","b":"[2]"}\n')])
def test_the_original_is_untouched_by_what_was_done_to_the_record(kind, payload):
    records = decode(kind, memoryview(payload))
    for record in records:
        assert isinstance(record, dict)
        record["a"] = record.pop("b")
        assert records.original() == {"a": "1", "b": "[2]"}


@pytest.mark.parametrize("payload", [b"", b"a,b\n", b"a,b\n\n\r\n"])
def test_no_record_is_no_record(payload):
    assert list(decode("csv", payload)) == []


def test_records_can_be_read_again():
    records = decode("csv", b'a\n1\n"2"\n')
    assert list(records) == list(records) == [{"a": "1"}, {"a": "2"}]
