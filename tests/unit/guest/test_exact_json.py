"""Integers of any size keep every digit, on the way in, through a script, and out in every format."""

import csv
import io

import orjson
import pyarrow.parquet
import pytest

import penstock_guest.writing.parquet  # noqa: F401  # a profile loads it
from penstock_guest import exact_json
from penstock_guest.writing import write_blocks
from tests.trying import errors_of, letters_of, records_of, result_of

LONG = [2**64, -(2**63) - 1, 12345678901234567890123, 10**300]


@pytest.mark.parametrize("number", [0, 2**63, 2**64 - 1, *LONG])
def test_a_text_is_read_exactly(number):
    text = b'{"n": %d, "l": [%d]}' % (number, number)
    assert exact_json.loads_for(text)(text) == {"n": number, "l": [number]}


@pytest.mark.parametrize(
    "text", [b"{", b'{"n": 1e999}', b'{"n": NaN, "m": 12345678901234567890123}', b"[" * 5000 + b"1" * 30]
)
def test_what_is_no_json_is_refused_whatever_its_integers(text):
    with pytest.raises(orjson.JSONDecodeError):
        exact_json.loads_for(text)(text)


@pytest.mark.parametrize("value", [5, "x", None, True, 1.5, [2**64], {"a": {"b": 2**64, "c": "é"}}])
def test_a_value_is_written_exactly(value):
    text = exact_json.dumps(value)
    assert exact_json.loads_for(text)(text) == value
    assert b" " not in text


def test_what_was_refused_for_something_else_stays_refused():
    with pytest.raises(orjson.JSONEncodeError, match="UTF-8"):
        exact_json.dumps({"x": "\ud83d"})


def test_beside_a_long_integer_everything_else_has_its_usual_form(sandbox):
    """Dates, decimals and tuples are turned to text and lists as in every other record."""
    source = """
        import datetime, decimal
        def process(data):
            return {**data, "d": datetime.date(2020, 1, 2), "p": decimal.Decimal("1.50"), "t": (1, 2), "é": "é"}
    """
    [record] = records_of(result_of(sandbox, source, [{"n": 2**70}]))
    assert record == {"n": 2**70, "d": "2020-01-02", "p": "1.50", "t": [1, 2], "é": "é"}


@pytest.mark.parametrize("number", LONG)
def test_a_record_goes_through_a_script_exactly(sandbox, number):
    assert records_of(result_of(sandbox, "def process(data): return data", [{"n": number}])) == [{"n": number}]


def test_a_record_that_fails_is_in_its_dead_letter_exactly(sandbox):
    result = result_of(sandbox, "def process(data): 1 / 0", [{"n": number} for number in LONG])
    assert [letter["data"] for letter in letters_of(result)] == [{"n": number} for number in LONG]


def test_not_a_number_beside_a_long_integer_harms_only_its_own_record(sandbox):
    source = "def process(data): return {**data, 'x': float('nan')} if data['n'] == 2**64 else data"
    result = result_of(sandbox, source, [{"n": 1}, {"n": 2**64}])
    assert [error["code"] for error in errors_of(result)] == ["output_invalid"]
    assert result.produced == 1


def converted(spool, to):
    """Convert a spool here."""
    return b"".join(write_blocks(memoryview(spool), spool_format="ndjson", to=to))


@pytest.mark.parametrize("number", LONG)
def test_csv_has_every_digit(number):
    spool = b'{"n":%d,"l":[%d]}\n{"n":1}\n' % (number, number)
    rows = list(csv.DictReader(io.StringIO(converted(spool, "csv").decode())))
    assert [row["n"] for row in rows] == [str(number), "1"]
    assert rows[0]["l"] == f"[{number}]"


@pytest.mark.parametrize("number", LONG)
def test_parquet_has_every_digit_as_text(number):
    """No type of Parquet holds them."""
    table = pyarrow.parquet.read_table(
        io.BytesIO(converted(b'{"n":%d,"l":[%d]}\n{"n":1}\n' % (number, number), "parquet"))
    )
    assert table.to_pylist() == [{"n": str(number), "l": f"[{number}]"}, {"n": "1", "l": None}]
