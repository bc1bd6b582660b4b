"""One tree of errors, each with a code, words, a hint and an exit code."""

import inspect

import pytest

from penstock.core import errors
from penstock.core.record_errors import SENTENCES

ALL = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.PenstockError)]
LEAVES = [value for value in ALL if "code" in vars(value)]


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.__name__)
def test_an_error_has_a_code_and_the_exit_code_of_its_branch(error):
    branch = next(base for base in error.__mro__ if "exit_code" in vars(base))
    assert branch in (errors.UserError, errors.TransientError, errors.Bug)
    assert error.exit_code == {errors.UserError: 2, errors.TransientError: 75, errors.Bug: 70}[branch]


def test_codes_are_used_once():
    codes = [error.code for error in LEAVES]
    assert sorted(set(codes)) == sorted(codes)


def test_an_error_keeps_its_words_and_its_hint():
    error = errors.InputNotFound("x.csv names no file", hint="Check the path.")
    assert (str(error), error.message, error.hint) == ("x.csv names no file", "x.csv names no file", "Check the path.")


def test_no_error_can_be_raised_without_a_hint():
    with pytest.raises(TypeError, match="hint"):
        errors.InputNotFound("x")  # type: ignore[call-arg]  # that is the point


def test_every_branch_and_leaf_is_drawn_in_the_tree():
    drawn = errors.__doc__ or ""
    assert [error.__name__ for error in ALL if error.__name__ not in drawn] == []


@pytest.mark.parametrize("code", SENTENCES)
def test_the_sentence_of_a_record_error_holds_no_place_for_a_value(code):
    assert "{" not in SENTENCES[code]
    assert "%" not in SENTENCES[code]
