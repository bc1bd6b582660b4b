"""Raw data as lines, in real locked children."""

import contextlib
import gzip

import orjson
import pytest

from penstock.core.errors import InputUnreadable, SourceRefused
from penstock.core.raw import PageQuestion
from penstock.core.scripts import InputFile
from penstock.sandbox import raw
from penstock.sandbox.raw import StrictRawReader, open_raw
from penstock.sandbox.strict import StrictSandbox


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    sandbox = StrictSandbox()
    try:
        with open_raw(sandbox, parallel=2) as reader:
            yield reader
    finally:
        sandbox.close()


def rows(lines):
    return [orjson.loads(line) for line in lines.splitlines()]


def test_a_page_becomes_lines_with_what_comes_next_and_the_highest_cursor(reader: StrictRawReader):
    page = {
        "data": {"orders": [{"id": 1, "at": "2024-01-02T00:00:00+02:00"}, {"id": 2.5, "at": "2024-01-01T23:30:00Z"}]},
        "paging": {"next": "abc"},
    }
    question = PageQuestion(records_at="data.orders", next_at="paging.next", cursor_at="at")
    found = reader.page(orjson.dumps(page), question)
    assert [row["id"] for row in rows(found.lines)] == [1, 2.5]
    assert found.kinds == {"id": {"long", "double"}, "at": {"text"}}
    assert found.next == "abc"
    assert found.highest is not None
    assert found.highest[1] == "2024-01-01T23:30:00Z"  # by when it is, not by its letters


def test_what_a_page_says_of_the_next_is_known_before_its_records_are_read(reader: StrictRawReader):
    question = PageQuestion(records_at="orders", next_at="paging.next")
    first = reader.begin_page(b'{"orders": [{"id": 1}, 7], "paging": {"next": 7}}', question)
    second = reader.begin_page(b'{"orders": [{"id": 2}], "paging": {}}', question)
    assert (first.next, second.next) == (7, None)
    lines = first.lines()
    assert ([row["id"] for row in rows(lines.lines)], lines.refused, lines.next) == ([1], 1, 7)
    assert [row["id"] for row in rows(second.lines().lines)] == [2]


def test_a_page_that_cannot_be_read_is_refused_where_that_is_known(reader: StrictRawReader):
    question = PageQuestion(records_at="orders", next_at="next")
    for _ in range(3):  # each gives its child back
        with pytest.raises(SourceRefused, match="not JSON") as refused:
            reader.begin_page(b"<html>", question)
        assert refused.value.figures == {"is_json": False}
        with pytest.raises(SourceRefused, match="neither a text nor a number"):
            reader.begin_page(b'{"orders": [], "next": {}}', question)
        begun = reader.begin_page(b'{"items": [], "next": 99999999999999999999}', question)
        assert begun.next == "99999999999999999999"
        with pytest.raises(SourceRefused, match="there is no 'orders' at its top; there is: items, next"):
            begun.lines()


def test_two_pages_can_be_begun_where_one_child_works_at_once():
    with contextlib.closing(StrictSandbox()) as sandbox, open_raw(sandbox, parallel=1) as reader:
        begun = [reader.begin_page(b'[{"id": 1}]', PageQuestion()) for _ in range(2)]
        assert [each.lines().records for each in begun] == [1, 1]


@pytest.mark.parametrize(
    "other", [{"b": None, "a": "x"}, {"a": {"b": 2}}, {"_hash": 1}, {"a": 2**63}, {}, {"": 1}, 7], ids=str
)
def test_records_taken_together_are_as_those_that_are_taken_one_by_one(reader: StrictRawReader, other):
    page = orjson.dumps([{"a": 1, "b": "ü"}, {"b": "y", "a": 2}, other])
    together = reader.page(page, PageQuestion())
    one_by_one = reader.page(page, PageQuestion(cursor_at="nowhere"))  # each is looked at for its cursor
    assert together == one_by_one
    assert len(rows(together.lines)) + len(rows(together.rejected)) == 3


def test_nested_values_become_their_json_text_and_long_integers_keep_every_digit(reader: StrictRawReader):
    page = b'[{"customer": {"id": 12345678901234567890123}, "n": 99999999999999999999, "k": 9223372036854775808}]'
    found = reader.page(page, PageQuestion())
    (row,) = rows(found.lines)
    assert row["customer"] == '{"id":12345678901234567890123}'
    assert (row["n"], row["k"]) == ("99999999999999999999", "9223372036854775808")
    assert found.kinds == {"customer": {"json"}, "n": {"text"}, "k": {"text"}}


def test_the_hash_is_of_the_record_whatever_the_order_of_its_names(reader: StrictRawReader):
    found = reader.page(b'[{"a": 1, "b": [2, 3]}, {"b": [2, 3], "a": 1}, {"a": 1, "b": [3, 2]}]', PageQuestion())
    one, same, other = (row["_hash"] for row in rows(found.lines))
    assert one == same != other


def test_what_is_no_record_is_rejected_with_its_reason(reader: StrictRawReader):
    found = reader.page(b'[{"a": 1}, 7, {"a": 1, "A": 2}, {"": 1}, null]', PageQuestion())
    assert (found.records, found.refused) == (1, 4)
    assert [row["line"] for row in rows(found.rejected)] == [2, 3, 4, 5]
    assert "differ in nothing but case" in rows(found.rejected)[1]["error"]


def test_names_of_audit_columns_get_an_underscore_behind(reader: StrictRawReader):
    found = reader.page(b'[{"_source": "x", "_hash": "y", "a": null}]', PageQuestion())
    (row,) = rows(found.lines)
    assert (row["_source_"], row["_hash_"]) == ("x", "y")
    assert found.kinds == {"_source_": {"text"}, "_hash_": {"text"}, "a": frozenset()}


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (b'{"orders": [', "not JSON"),
        (b'{"error": "no"}', "there is no 'orders'"),
        (b'{"orders": "none"}', "no array of records"),
    ],
)
def test_a_page_that_is_not_what_it_should_be_is_refused_in_words(reader: StrictRawReader, page, words):
    with pytest.raises(SourceRefused, match=words):
        reader.page(page, PageQuestion(records_at="orders"))


@pytest.mark.parametrize("small_bytes", [0, 2**20], ids=["in_pieces", "in_one_go"])
def test_a_file_becomes_lines_and_what_is_malformed_has_its_line(
    reader: StrictRawReader, tmp_path, monkeypatch, small_bytes
):
    monkeypatch.setattr(raw, "_SMALL_BYTES", small_bytes)
    path = tmp_path / "orders.csv"
    path.write_bytes(b'id,name\n1,"a, b"\n2,x,y\n3,\n')
    with path.open("rb") as file:
        (found,) = reader.lines(InputFile("orders.csv", file.fileno(), path.stat().st_size))
    assert [{k: v for k, v in row.items() if k != "_hash"} for row in rows(found.lines)] == [
        {"id": "1", "name": "a, b"},
        {"id": "3", "name": None},
    ]
    assert rows(found.rejected) == [
        {"line": 3, "error": "expected 2 fields, as the header has, found 3", "record": "2,x,y"}
    ]
    assert found.kinds == {"id": {"text"}, "name": {"text"}}


@pytest.mark.parametrize("small_bytes", [0, 2**20], ids=["in_pieces", "in_one_go"])
def test_ndjson_with_a_broken_line_and_a_document_inside(reader: StrictRawReader, tmp_path, monkeypatch, small_bytes):
    monkeypatch.setattr(raw, "_SMALL_BYTES", small_bytes)
    path = tmp_path / "x.ndjson"
    path.write_bytes(b'{"rows": [{"a": 1}, {"a": 2}]}\nnot json\n{"rows": {"a": true}}\n')
    with path.open("rb") as file:
        (found,) = reader.lines(InputFile("x.ndjson", file.fileno(), path.stat().st_size), records_at="rows")
    assert [row["a"] for row in rows(found.lines)] == [1, 2, True]
    assert found.kinds == {"a": {"long", "boolean"}}
    assert [row["line"] for row in rows(found.rejected)] == [2]


def test_a_file_of_many_pieces_keeps_its_order_and_every_record(reader: StrictRawReader, tmp_path, monkeypatch):
    monkeypatch.setattr(raw, "_SMALL_BYTES", 0)
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"id\n" + b"".join(b"%d\n" % number for number in range(35_000))))
    with path.open("rb") as file:
        pieces = list(reader.lines(InputFile("x.csv.gz", file.fileno(), path.stat().st_size)))
    assert len(pieces) == 4
    assert [int(row["id"]) for piece in pieces for row in rows(piece.lines)] == list(range(35_000))


def test_a_file_that_is_not_what_its_name_says_is_named(reader: StrictRawReader, tmp_path):
    path = tmp_path / "x.csv.gz"
    path.write_bytes(b"id\n1\n")
    with path.open("rb") as file, pytest.raises(InputUnreadable, match="expected gzip"):
        list(reader.lines(InputFile("x.csv.gz", file.fileno(), path.stat().st_size)))


def test_records_that_are_known_are_left_out_and_those_at_the_highest_cursor_named(reader: StrictRawReader):
    first = reader.page(b'[{"id": 1, "at": 5}, {"id": 2, "at": 7}, {"id": 3, "at": 7}]', PageQuestion(cursor_at="at"))
    assert len(first.at_highest) == 2
    question = PageQuestion(cursor_at="at", known=first.at_highest)
    again = reader.page(b'[{"at": 7, "id": 2}, {"id": 3, "at": 7}, {"id": 4, "at": 7}]', question)
    assert [row["id"] for row in rows(again.lines)] == [4]
    assert len(again.at_highest) == 3


def test_a_compressed_page_is_undone_in_the_child(reader: StrictRawReader):
    data = gzip.compress(b'[{"id": 1}]')
    assert reader.page(data, PageQuestion(encoding="gzip")).records == 1
    with pytest.raises(SourceRefused, match="damaged"):
        reader.page(data[:-9], PageQuestion(encoding="gzip"))
    with pytest.raises(SourceRefused, match="becomes more than"):
        reader.page(gzip.compress(b" " * (130 * 2**20), compresslevel=1), PageQuestion(encoding="gzip"))
