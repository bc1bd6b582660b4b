"""Numbers that JSON has no form for are refused wherever they stand, and null stays null."""

import dataclasses
import decimal
import enum

import numpy as np
import orjson
import pytest

from penstock_guest import chunk
from tests.trying import letters_of, records_of, result_of

NAN, INF = float("nan"), float("inf")


@dataclasses.dataclass
class Row:
    a: object


class Kind(enum.Enum):
    ODD = NAN


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": NAN}, "NaN (at /a)"),
        ({"a": None, "b": [1, {"c": -INF}]}, "-Infinity (at /b/1/c)"),
        ([{"a": 1}, {"a": (1, INF)}], "Infinity (at /1/a/1)"),
        ({"a": Row(NAN)}, "NaN (at /a/a)"),
        ({"a": Kind.ODD}, "NaN (at /a/value)"),
        ({"a": np.float32("nan")}, "NaN (at /a/)"),
        ({"a": np.float64("inf")}, "Infinity (at /a)"),
        ({"a": np.array([[1.0, np.nan]])}, "NaN (at /a/0/1)"),
        ({"a": {1.5, INF}}, "Infinity (at /a/1)"),
    ],
)
def test_a_number_that_is_none_is_refused_with_its_place(value, words):
    with pytest.raises(TypeError) as refused:
        chunk.as_lines(value)
    assert f"cannot hold {words}" in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [{"a": None}, {"null": 1.5}, {"a": decimal.Decimal("NaN")}, {"a": np.array([1, 2])}, {"a": [np.float32(1)]}],
)
def test_everything_else_is_written(value):
    orjson.loads(chunk.as_lines(value)[0])


PYTHON = "def process(data):\n    return {'n': data['n'], 'x': float('nan') if data['n'] == 1 else None}\n"
JAVASCRIPT = "function process(data) { return {n: data.n, x: [data.n === 1 ? 1 / 0 : null]}; }"


@pytest.mark.parametrize(("source", "profile"), [(PYTHON, "std"), (JAVASCRIPT, "js")])
def test_a_record_with_such_a_number_is_a_dead_letter_and_harms_no_other(sandbox, source, profile):
    result = result_of(sandbox, source, 3, profile=profile)
    assert [record["n"] for record in records_of(result)] == [0, 2]
    (letter,) = letters_of(result)
    assert (letter["error"]["code"], letter["data"]) == ("output_invalid", {"n": 1})
    assert "JSON has no form for it" in letter["error"]["message"]
