"""Every bound has a name, a unit and a reason; the flags of those that can be raised exist."""

import click
import pytest

from penstock.cli import process
from penstock.core import limits


def test_all_limits_are_in_the_list():
    assert set(limits.ALL) == {value for value in vars(limits).values() if isinstance(value, limits.Limit)}


def test_names_are_used_once():
    names = [limit.name for limit in limits.ALL]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("limit", limits.ALL, ids=lambda limit: limit.name)
def test_a_limit_says_how_much_of_what_and_why(limit):
    assert limit.value > 0
    assert limit.unit
    assert len(limit.why.split()) > 2


@pytest.mark.parametrize("limit", [limit for limit in limits.ALL if limit.flag], ids=lambda limit: limit.name)
def test_a_flag_is_an_option_with_the_limit_as_its_default(limit):
    options = {name: option for option in process.command.params for name in option.opts}
    option = options[limit.flag]
    assert isinstance(option, click.Option)
    assert option.default == limit.value
