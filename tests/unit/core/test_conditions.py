"""`when:` of a task: a small language that is walked and never run."""

import pytest

from penstock.core.conditions import ConditionInvalid, parse_condition

PARAMS = {"full": False, "region": "br", "n": 3, "nothing": None}
SATURDAY = "2026-01-31"


def holds(text, *, date=SATURDAY, **outcomes):
    condition = parse_condition(text, params=PARAMS, tasks=["check", "clean"])
    return condition.holds(date=date, params=PARAMS, outcomes={"check": "failed", **outcomes})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params.full", False),
        ("not params.full", True),
        ("date >= '2026-01-01' and weekday(date) == 'saturday'", True),
        ("weekday(date) in ['monday', 'friday']", False),
        ("(year(date), month(date), day(date)) == (2026, 1, 31)", True),
        ("tasks.check == 'failed' or params.region in ['uy']", True),
        ("1 < params.n <= 3", True),
        ("params.n == -3", False),
        ("params.n not in [1, 2]", True),
        ("params.nothing == null", True),
        ("params.nothing > 3", False),
        ("params.full == false and true", True),
    ],
)
def test_expressions_hold_or_not(text, expected):
    assert holds(text) is expected


def test_a_run_without_a_date_is_on_no_day():
    assert not holds("date > '2000-01-01'", date=None)
    assert not holds("weekday(date) == 'monday'", date=None)
    assert holds("date == null", date=None)


@pytest.mark.parametrize(
    ("text", "words", "word"),
    [
        ("params.regoin == 'br'", "params.regoin: the pipeline has no such parameter", "regoin"),
        ("tasks.chek == 'failed'", "tasks.chek: no such task ends before this one", "chek"),
        ("wekday", "there is no 'wekday'", "wekday"),
        ("params.n > 'a'", "params.n > 'a': 3 and 'a' cannot be compared", ""),
        ("true or params.n > 'a'", "params.n > 'a': 3 and 'a' cannot be compared", ""),
        ("weekday(date)", "it is 'saturday', which is neither true nor false", ""),
        ("params.region and true", "params.region is 'br', which is neither true nor false", ""),
        ("not 3", "3 is 3, which is neither true nor false", ""),
        ("date ==", "it is no expression: invalid syntax", ""),
        ("1 + 1 == 2", "1 + 1 is not understood", ""),
        ("1 is 1", "Is is no comparison; valid: == != < <= > >= in", ""),
        ("__import__('os').system('true') == 0", "__import__('os').system('true') is not understood", ""),
        ("date.__class__ == 1", "date.__class__ is not understood", ""),
        ("[x for x in [1]] == 1", "[x for x in [1]] is not understood", ""),
        ("weekday('2026-01-01') == 'monday'", "weekday('2026-01-01') is not understood", ""),
        ("(" * 300 + "1" + ")" * 300, "it is no expression: too many nested parentheses", ""),
        ("not " * 60 + "true", "it is nested too deeply", ""),
        ("true " * 500, "it has 2,500 characters; at most 2,000 are read", ""),
    ],
)
def test_what_is_no_such_expression_is_refused_before_a_run(text, words, word):
    with pytest.raises(ConditionInvalid) as caught:
        parse_condition(text, params=PARAMS, tasks=["check"])
    assert (str(caught.value), caught.value.word) == (words, word)


def test_the_tasks_that_an_expression_asks_for_are_known():
    assert parse_condition("tasks.check == tasks.clean", params={}, tasks=["check", "clean"]).tasks == {
        "check",
        "clean",
    }


def test_a_parameter_that_got_another_type_is_told_in_the_run():
    condition = parse_condition("params.n > 2", params={"n": 3}, tasks=[])
    with pytest.raises(ConditionInvalid, match="cannot be compared"):
        condition.holds(date=None, params={"n": "many"}, outcomes={})
