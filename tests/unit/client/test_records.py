"""Records of a program as JSON, and back."""

from __future__ import annotations

import datetime as dt
import math

import pytest

from penstock.client.records import read_records, record_lines
from penstock.core.errors import RequestInvalid


def test_every_digit_of_a_whole_number_goes_and_comes_back():
    records: list[dict[str, object]] = [{"n": 2**70, "t": "Zoë\n漢字"}, {"n": -(2**63), "f": 1e308}]
    assert read_records(b"\n".join(record_lines(records))) == records


def test_dates_and_times_become_text():
    assert record_lines([{"day": dt.date(2026, 1, 31)}]) == [b'{"day":"2026-01-31"}']


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_has_no_word_for_is_refused_and_never_sent_as_null(value):
    with pytest.raises(RequestInvalid, match=r"records\[1\] holds NaN"):
        record_lines([{}, {"a": [value]}])


@pytest.mark.parametrize("records", ["orders.csv", b"{}", {"id": 1}])
def test_a_path_as_text_or_a_lone_record_is_not_taken_for_a_list(records):
    with pytest.raises(RequestInvalid, match="records are a list of objects, or a Path; found a") as caught:
        record_lines(records)
    assert 'pathlib.Path("orders.csv")' in caught.value.hint


def test_a_value_that_is_no_json_is_refused_with_its_place():
    with pytest.raises(RequestInvalid, match=r"records\[0\] is not JSON: "):
        record_lines([{"a": object()}])
