"""What a run is for, as the command line says it."""

import click
import pytest

from penstock.cli.occasions import Day, parse_params
from penstock.cli.place import split_name
from penstock.cli.query import pinned
from penstock.core.errors import UsageError


def test_parameters_are_numbers_words_or_text():
    said = ("a=1", "b=-2.5", "c=true", "d=null", "e=south", 'f="5"', "g=", "h=x=y", "i=007")
    assert parse_params(said) == {
        "a": 1,
        "b": -2.5,
        "c": True,
        "d": None,
        "e": "south",
        "f": "5",
        "g": "",
        "h": "x=y",
        "i": "007",
    }
    with pytest.raises(UsageError, match="NAME=VALUE"):
        parse_params(("limit",))


def test_a_day_is_a_date_or_a_word():
    for day in ("2026-01-31", "today", "yesterday"):
        assert Day().convert(day, None, None) == day
    for wrong in ("2026-02-30", "31.1.2026", ""):
        with pytest.raises(click.BadParameter, match="is not a date"):
            Day().convert(wrong, None, None)


def test_a_pipeline_may_say_its_project():
    assert split_name("shop/sales", "other") == ("shop", "sales")
    assert split_name("sales", "shop") == ("shop", "sales")
    assert split_name(None, "shop") == ("shop", None)
    with pytest.raises(UsageError, match="which project"):
        split_name("sales", None)


def test_snapshots_are_pinned_by_table():
    assert pinned(("marts.daily=-12",)) == {"marts.daily": "-12"}
    with pytest.raises(UsageError, match="TABLE=SNAPSHOT"):
        pinned(("marts.daily",))
