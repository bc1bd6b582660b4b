"""A form is read however it is cut into blocks."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.multipart import Form
from penstock.core.errors import RequestInvalid

FILE = b'{"a":1}\r\n--not the end\r\n{"b":2}\n'
BODY = (
    b'--edge\r\nContent-Disposition: form-data; name="script"\r\n\r\nclean\r\n'
    b'--edge\r\nContent-Disposition: form-data; name="file"; filename="o\xc3\xa9.csv"\r\nContent-Type: text/csv\r\n\r\n'
    + FILE
    + b'\r\n--edge\r\nContent-Disposition: form-data; name="label"\r\n\r\nday:1\r\n--edge--\r\n'
)
TYPE = "multipart/form-data; boundary=edge"


@given(st.lists(st.integers(1, len(BODY) - 1)))
def test_a_form_is_read_however_it_is_cut(cuts):
    edges = [0, *sorted(cuts), len(BODY)]
    form = Form(TYPE)
    content = b"".join(piece for start, end in itertools.pairwise(edges) for piece in form.feed(BODY[start:end]))
    form.end()
    assert content == FILE
    assert form.fields == [("script", "clean"), ("label", "day:1")]
    assert (form.file_name, form.file_type) == ("oé.csv", "text/csv")


@given(st.integers(0, len(BODY) - 5))
def test_a_form_that_is_cut_off_is_no_form(end):
    with pytest.raises(RequestInvalid):
        read(BODY[:end])


def test_a_form_without_a_boundary_is_refused():
    with pytest.raises(RequestInvalid, match="no boundary"):
        Form("multipart/form-data")


def read(body):
    """Read a whole form."""
    form = Form(TYPE)
    list(form.feed(body))
    form.end()
