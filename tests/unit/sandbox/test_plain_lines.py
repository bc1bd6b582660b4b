"""Plain NDJSON is cut as a locked reader cuts it, and nothing else is cut at all."""

import contextlib
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.core.scripts import InputFile
from penstock.sandbox.plain_lines import read_plain


@contextlib.contextmanager
def a_file(content, *, name="in.ndjson", format_="ndjson", encoding="identity"):
    """An input that holds the content."""
    fd = os.memfd_create("in")
    try:
        os.write(fd, content)
        yield InputFile(name, fd, len(content), format_, encoding)
    finally:
        os.close(fd)


def cut(content, *, chunk_records=3, **options):
    """The chunks, or None when a locked reader is needed."""
    with a_file(content, **options) as file:
        reader = read_plain(file, chunk_records=chunk_records)
        return None if reader is None else [chunk.at(0) for chunk in reader]


LINES = st.lists(
    st.sampled_from([b'{"a": 1}', b'{"b": "\xc3\xa9 "}\r', b"{no json", b"[1]", b"{}", b"", b" ", b"\xff"])
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, end=st.sampled_from([b"", b"\n"]), chunk_records=st.integers(1, 4))
def test_what_is_cut_here_is_what_a_locked_reader_cuts(sandbox, lines, end, chunk_records):
    content = b'{"first": 1}\n' + b"\n".join(lines) + end
    chunks = cut(content, chunk_records=chunk_records)
    if chunks is None:
        return
    with a_file(content) as file, sandbox.open_input(file, chunk_records=chunk_records, as_arrow=False) as reader:
        assert chunks == [chunk.at(0) for chunk in reader]


def test_the_last_line_needs_no_end():
    assert [chunk.payload for chunk in cut(b'{"a":1}\n{"a":2}')] == [b'{"a":1}\n{"a":2}\n']


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1]\n",
        b"\xef\xbb\xbf{}\n",
        b"{}\n\n{}\n",
        b"{}\n {}\n",
        b"{}\n\r\n",
        b"{}\n\t\n",
        b"{}\n\0\n",
        b"{" + b"x" * (4 * 2**20) + b"}\n",
    ],
    ids=["empty", "array", "mark", "blank line", "space", "return", "tab", "NUL", "large"],
)
def test_what_is_not_plain_needs_a_locked_reader(content):
    assert cut(content) is None


@pytest.mark.parametrize(
    ("name", "format_", "encoding"),
    [
        ("in.ndjson.gz", "ndjson", "identity"),
        ("in.tar", "ndjson", "identity"),
        ("in.csv", None, "identity"),
        ("-", None, "identity"),
        ("in.ndjson", "json", "identity"),
        ("in.ndjson", "ndjson", "gzip"),
    ],
)
def test_what_does_not_say_that_it_is_lines_needs_a_locked_reader(name, format_, encoding):
    assert cut(b"{}\n", name=name, format_=format_, encoding=encoding) is None


@pytest.mark.parametrize(("name", "format_"), [("a.JSONL", None), ("a.ndjson", None), ("orders.csv", "ndjson")])
def test_the_name_or_the_format_says_that_it_is_lines(name, format_):
    assert cut(b"{}\n", name=name, format_=format_) is not None
