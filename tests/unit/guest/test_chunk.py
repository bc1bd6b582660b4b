"""The loop around a script's function, and the account of every record, without a child."""

import dataclasses
import datetime as dt
import decimal
import json

import pytest

from penstock_guest import chunk
from penstock_guest.child import Output
from penstock_guest.failures import Describer, OutputFull
from penstock_guest.reading import decode
from penstock_guest.wire import HEADER_BYTES, RECORDS, WHOLE_CHUNK


def output_of(*, records_bytes_max=10_000, arena_bytes=100_000):
    """An output arena in plain memory."""
    return Output(memoryview(bytearray(HEADER_BYTES + arena_bytes)), records_bytes_max=records_bytes_max)


def ran(function, payload=b'{"n": 0}\n{"n": 1}\n{"n": 2}\n', *, run=chunk.run_each, output=None, **request):
    """Run a function over lines, and return the reply, the output records and the dead letters."""
    output = output or output_of()
    lines = payload.count(b"\n")
    request = {"input": "in", "skip": {}, "segments": [[None, 1, 1, lines, lines]]} | request
    account = chunk.Account(request, output)
    run(chunk.Call(function, chunk.as_lines, Describer("s.py", {})), decode("ndjson", payload), account)
    reply = account.reply()
    body = bytes(output._body[: reply["output_bytes"] + reply["dead_bytes"]])
    rows = [json.loads(line) for line in body[: reply["output_bytes"]].splitlines()]
    return reply, rows, [json.loads(line) for line in body[reply["output_bytes"] :].splitlines()]


def same(record):
    return record


def failing_on(number):
    def function(record):
        if record["n"] == number:
            raise ValueError("no")
        return record

    return function


def test_every_record_is_accounted_for():
    reply, rows, letters = ran(failing_on(1))
    assert rows == [{"n": 0}, {"n": 2}]
    assert [letter["data"] for letter in letters] == [{"n": 1}]
    counts = {name: reply[name] for name in ("records", "produced", "dropped", "failed", "rows")}
    assert counts == {"records": 3, "produced": 2, "dropped": 0, "failed": 1, "rows": 2}


def test_the_mark_says_which_record_is_in_work():
    output, seen = output_of(), []
    ran(lambda record: seen.append(tuple(output.mark)), output=output)
    assert seen == [(RECORDS, 0), (RECORDS, 1), (RECORDS, 2)]
    assert output.mark[0] == WHOLE_CHUNK


def test_the_mark_of_a_batch_names_no_record():
    output, seen = output_of(), []
    ran(lambda records: seen.append(output.mark[0]), run=chunk.run_batch, output=output)
    assert seen == [WHOLE_CHUNK]


KNOWN = {"code": "crashed", "type": None, "message": "m", "script_line": None}


@pytest.mark.parametrize("run", [chunk.run_each, chunk.run_batch])
def test_records_that_are_not_to_be_tried_are_not(run):
    tried = []

    def function(given):
        tried.extend(given if isinstance(given, list) else [given])

    reply, _, letters = ran(function, run=run, skip={"1": KNOWN})
    assert tried == [{"n": 0}, {"n": 2}]
    assert [letter["error"] for letter in letters] == [KNOWN]
    assert reply["causes"] == [["crashed", None, None, 1]]


@pytest.mark.parametrize("run", [chunk.run_each, chunk.run_batch])
def test_with_an_error_for_the_rest_none_is_tried(run):
    _, rows, letters = ran(lambda record: 1 / 0, run=run, skip={"1": KNOWN}, rest={**KNOWN, "code": "chunk_failed"})
    assert (rows, [letter["error"]["code"] for letter in letters]) == ([], ["chunk_failed", "crashed", "chunk_failed"])


@pytest.mark.parametrize("run", [chunk.run_each, chunk.run_batch])
def test_lines_that_are_no_records_fail_with_their_text(run):
    _, _, letters = ran(same, b'{"n": 0}\n[1]\n\nnonsense \xff\n{"n": 3}\n', run=run, segments=[[None, 1, 1, 4, 5]])
    assert [(letter["record"], letter["line"], letter["raw"]) for letter in letters] == [
        (2, 2, "[1]"),
        (3, 4, "nonsense \N{REPLACEMENT CHARACTER}"),
    ]


def test_a_dead_letter_says_where_its_record_came_from():
    segments = [["a.ndjson", 10, 20, 2, 2], ["b.ndjson", 1, 1, 1, 1]]
    _, _, letters = ran(lambda record: 1 / 0, segments=segments)
    places = [(letter["input"], letter["member"], letter["record"], letter["line"]) for letter in letters]
    assert places == [("in", "a.ndjson", 10, 20), ("in", "a.ndjson", 11, 21), ("in", "b.ndjson", 1, 1)]


def test_an_output_that_is_full_harms_only_the_record_that_would_not_fit():
    big = lambda record: {"x": "y" * (50 if record["n"] == 1 else 1)}  # noqa: E731  # short
    reply, rows, letters = ran(big, output=output_of(records_bytes_max=40))
    assert (len(rows), [letter["error"]["code"] for letter in letters]) == (2, ["limit_output"])
    assert reply["produced"] == 2


def test_dead_letters_have_room_beside_the_output():
    _, rows, letters = ran(failing_on(1), output=output_of(records_bytes_max=16, arena_bytes=1_000))
    assert (len(rows), len(letters)) == (2, 1)


def test_an_arena_refuses_what_does_not_fit():
    output = output_of(arena_bytes=10)
    output.write(b"12345678")
    with pytest.raises(OutputFull):
        output.write(b"90+")
    output.write(b"90")
    assert output.size_bytes == 10


def test_long_outputs_are_flushed_in_between():
    payload = b'{"n": 1}\n' * 2_000
    _, rows, _ = ran(same, payload, output=output_of(records_bytes_max=50_000))
    assert len(rows) == 2_000


@dataclasses.dataclass
class Row:
    a: int


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({"a": decimal.Decimal("1.50")}, b'{"a":"1.50"}\n'),
        ({"a": dt.datetime(2020, 1, 2, tzinfo=dt.UTC)}, b'{"a":"2020-01-02T00:00:00+00:00"}\n'),
        ({"a": None, "b": ["null", {"c": (1.5, None)}]}, b'{"a":null,"b":["null",{"c":[1.5,null]}]}\n'),
        ({"a": Row(1)}, b'{"a":{"a":1}}\n'),
        ({}, b"{}\n"),
    ],
)
def test_a_record_is_one_line_of_json(value, line):
    assert chunk.as_lines(value) == (line, 1)


def test_a_list_of_records_is_as_many_lines():
    assert chunk.as_lines([{"a": 1}, {}]) == (b'{"a":1}\n{}\n', 2)


@pytest.mark.parametrize("value", [5, "x", (1,), None, [1], [{}, None], {"a": object()}, {1: 2}])
def test_anything_else_is_no_record(value):
    with pytest.raises(TypeError):
        chunk.as_lines(value)
