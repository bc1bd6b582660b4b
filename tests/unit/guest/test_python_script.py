"""A Python script in its child: what it gets, what it may return, what its errors say."""

import subprocess
import sys

import pytest

from tests.trying import REACH, chunk_of, death_of, errors_of, letters_of, records_of, result_of, script_of


@pytest.mark.parametrize(
    ("body", "output", "counts"),
    [
        ("return data", [{"n": 0}, {"n": 1}], (2, 0, 0, 2)),
        ("return None", [], (0, 2, 0, 0)),
        ("return [data, data]", [{"n": 0}, {"n": 0}, {"n": 1}, {"n": 1}], (2, 0, 0, 4)),
        ("return []", [], (2, 0, 0, 0)),
        ("return {}", [{}, {}], (2, 0, 0, 2)),
        ("if data['n']: return data", [{"n": 1}], (1, 1, 0, 1)),
        ("if data['n']: return data\n    1 / 0", [{"n": 1}], (1, 0, 1, 1)),
    ],
)
def test_a_function_returns_a_record_a_list_or_none(sandbox, body, output, counts):
    result = result_of(sandbox, f"def process(data):\n    {body}", 2)
    assert records_of(result) == output
    assert (result.produced, result.dropped, result.failed, result.rows) == counts


@pytest.mark.parametrize(
    ("body", "output", "counts"),
    [
        ("return records", [{"n": 0}, {"n": 1}, {"n": 2}], (3, 0, 0, 3)),
        ("return records[:1]", [{"n": 0}], (1, 2, 0, 1)),
        ("return records * 2", [{"n": 0}, {"n": 1}, {"n": 2}] * 2, (3, 0, 0, 6)),
        ("return None", [], (0, 3, 0, 0)),
        ("return {'sum': sum(r['n'] for r in records)}", [{"sum": 3}], (1, 2, 0, 1)),
    ],
)
def test_a_batch_is_the_chunks_records_in_order(sandbox, body, output, counts):
    result = result_of(sandbox, f"def process_batch(records):\n    {body}", 3)
    assert records_of(result) == output
    assert (result.produced, result.dropped, result.failed, result.rows) == counts


def test_a_batch_that_fails_fails_for_each_of_its_records(sandbox):
    result = result_of(sandbox, "def process_batch(records):\n    raise KeyError('x')", 3)
    assert [letter["record"] for letter in letters_of(result)] == [1, 2, 3]
    assert [(cause.type, cause.script_line, cause.records) for cause in result.causes] == [("KeyError", 2, 3)]


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("decimal.Decimal('1.10')", "1.10"),
        ("datetime.date(2020, 1, 2)", "2020-01-02"),
        ("datetime.datetime(2020, 1, 2, 3, 4, 5)", "2020-01-02T03:04:05"),
        ("datetime.timedelta(seconds=90)", 90.0),
        ("uuid.UUID(int=1)", "00000000-0000-0000-0000-000000000001"),
        ("b'x'", "eA=="),
        ("{3, 1, 2}", [1, 2, 3]),
        ("(1, 2)", [1, 2]),
        ("2**63", 2**63),
        ("'\\u2028 \\x00 é'", "\u2028 \x00 é"),
        ("enum.Enum('E', {'a': 'x'}).a", "x"),
    ],
)
def test_what_python_has_and_json_has_not_gets_a_plain_form(sandbox, value, output):
    source = f"import datetime, decimal, enum, uuid\ndef process(data): return {{'x': {value}}}"
    assert records_of(result_of(sandbox, source)) == [{"x": output}]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("5", "the script returned int; valid: a record (dict), a list of them, None to drop it"),
        ("'text'", "the script returned str"),
        ("(data, data)", "the script returned tuple"),
        ("(r for r in [data])", "the script returned generator"),
        ("[data, 5]", "a list that holds int; every record is a dict"),
        ("[[data]]", "a list that holds list"),
        ("{'x': object()}", "a record cannot hold object; valid: text, numbers"),
        ("{1: 2}", "must be str"),
        ("{'x': '\\ud83d'}", "surrogates"),
        ("{'x': [1, {'y': len}]}", "a record cannot hold builtin_function_or_method"),
        ("data.setdefault('me', data)", "Recursion"),
    ],
)
def test_what_is_no_record_harms_only_its_own(sandbox, returned, words):
    result = result_of(sandbox, f"def process(data):\n    return {returned} if data['n'] == 1 else data", 3)
    [error] = errors_of(result)
    assert error["code"] == "output_invalid"
    assert words in error["message"]
    assert (result.produced, result.failed) == (2, 1)


def test_an_error_says_its_type_its_words_and_the_scripts_own_line(sandbox):
    """The innermost line of the script, not that of the library which raised."""
    source = (
        "import json\n\ndef clean(text):\n    return json.loads(text)\n\ndef process(data):\n    return clean('{')\n"
    )
    [error] = errors_of(result_of(sandbox, source))
    assert error == {
        "code": "script_error",
        "type": "JSONDecodeError",
        "message": "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        "script_line": 4,
    }


@pytest.mark.parametrize(
    "raised",
    ["SystemExit(3)", "KeyboardInterrupt", "GeneratorExit", "StopIteration", "BaseException('x')", "Exception"],
)
def test_whatever_is_raised_harms_only_its_own_record(sandbox, raised):
    result = result_of(sandbox, f"def process(data):\n    if data['n'] == 1: raise {raised}\n    return data", 3)
    assert [error["code"] for error in errors_of(result)] == ["script_error"]
    assert result.produced == 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def __str__(self): raise self", "(its message raised E)"),
        ("def __str__(self): return 5", "(its message raised TypeError)"),
        ("def __str__(self): return 'x' * 10**6", "x" * 500),
        ("def __str__(self): return '\\ud83d!'", "\\ud83d!"),
    ],
)
def test_an_error_whose_own_words_fail_is_told_all_the_same(sandbox, body, words):
    result = result_of(sandbox, f"class E(Exception):\n    {body}\ndef process(data): raise E", 5)
    assert {error["message"] for error in errors_of(result)} == {words}


def test_the_name_of_an_error_is_bounded(sandbox):
    result = result_of(sandbox, "E = type('E' * 10**5, (Exception,), {})\ndef process(data): raise E", 5)
    assert {error["type"] for error in errors_of(result)} == {"E" * 100}


def test_no_more_than_fifty_causes_are_told_apart(sandbox):
    """A script can make up as many types as it likes."""
    source = "def process(data): raise type(f'E{data[\"n\"]}', (Exception,), {})"
    result = result_of(sandbox, source, 80)
    assert (result.failed, len(result.causes)) == (80, 50)


@pytest.mark.parametrize(
    ("body", "bounds", "code", "words"),
    [
        (
            "bytearray(10**10)",
            {"memory_bytes": 64 * 2**20},
            "limit_memory",
            "memory limit of 64 MiB was reached; --memory",
        ),
        (
            "x = []\n        while True: x.append('y' * 9999)",
            {"memory_bytes": 64 * 2**20},
            "limit_memory",
            "memory limit of 64 MiB was reached; --memory raises it",
        ),
        (
            "process(data)",
            {"recursion": 200},
            "limit_recursion",
            "recursion limit of 200 frames was reached; --recursion",
        ),
        (
            "data['x'] = 'y' * 2**20",
            {"output_bytes": 2**20},
            "limit_output",
            "output limit of 1 MiB was reached; --output-size",
        ),
    ],
    ids=["memory at once", "memory bit by bit", "recursion", "output"],
)
def test_a_limit_is_named_with_its_value_and_the_flag_that_raises_it(sandbox, body, bounds, code, words):
    source = f"def process(data):\n    if data['n'] == 1:\n        {body}\n    return data"
    result = result_of(sandbox, source, 3, **bounds)
    [error] = errors_of(result)
    assert error["code"] == code
    assert words in error["message"]
    assert result.produced == 2


def test_the_memory_of_a_script_is_its_own_beside_what_its_profile_takes(sandbox):
    """What numpy and pyarrow take is not counted against it."""
    source = "def process(data):\n    x = bytearray(24 * 2**20)\n    return {'bytes': len(x)}"
    result = result_of(sandbox, source, profile="arrow", memory_bytes=48 * 2**20)
    assert records_of(result) == [{"bytes": 24 * 2**20}]


SEEDED = {
    "random": "import random\ndef process(data): return {'x': [random.random(), random.randrange(10**9)]}",
    "numpy": "import numpy\ndef process(data): return {'x': numpy.random.random(3).tolist()}",
    "top level": "import random\nx = random.random()\ndef process(data): return {'x': x}",
}


def numbers(sandbox, source, seeds, **options):
    """What a script draws, chunk by chunk."""
    with sandbox.open_script(script_of(source, **options), parallel=1) as runner:
        return [records_of(runner.run(chunk_of(2), seed=seed, emit="ndjson", skip={})) for seed in seeds]


@pytest.mark.parametrize("name", ["random", "numpy"])
@pytest.mark.parametrize("warm", [False, True])
def test_random_numbers_follow_from_the_seed_of_the_chunk(sandbox, name, warm):
    first, second, again = numbers(
        sandbox, SEEDED[name], [2**64 - 1, 7, 2**64 - 1], profile="arrow" if name == "numpy" else "std", warm=warm
    )
    assert first == again
    assert first != second
    assert first[0] != first[1]


def test_random_numbers_of_the_top_level_are_the_same_in_every_run(sandbox):
    assert numbers(sandbox, SEEDED["top level"], [1, 2]) == numbers(sandbox, SEEDED["top level"], [3, 4])


def test_hashes_of_text_are_the_same_in_every_child(sandbox):
    """The order of a set of words is part of the output."""
    command = [sys.executable, "-c", "print(hash('penstock'))"]
    plain = subprocess.run(command, env={"PYTHONHASHSEED": "0"}, capture_output=True, check=True, timeout=30).stdout
    source = "def process(data): return {'hash': hash('penstock')}"
    assert records_of(result_of(sandbox, source)) == [{"hash": int(plain)}]


def test_what_is_printed_is_kept(sandbox):
    result = result_of(sandbox, "print('top')\ndef process(data):\n    print('record', data['n'])\n    return data", 2)
    assert result.printed == "top\nrecord 0\nrecord 1\n"


def test_what_is_printed_is_bounded(sandbox):
    result = result_of(sandbox, "def process(data):\n    print('x' * 1000)\n    return data", 500)
    assert len(result.printed) == 4096
    assert result.produced == 500


def test_a_warning_is_printed_and_not_raised(sandbox):
    result = result_of(sandbox, "def process(data):\n    '\\d'\n    return eval(\"'\\\\\\\\d' and data\")")
    assert result.produced == 1


def test_half_a_character_can_be_printed(sandbox):
    result = result_of(sandbox, "def process(data):\n    print('\\ud83d')\n    return data")
    assert (result.printed, result.produced) == ("\\ud83d\n", 1)


def test_a_script_sees_a_fixed_environment(sandbox, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    source = REACH + "def process(data): return dict(os.environ)"
    [environment] = records_of(result_of(sandbox, source))
    assert "SECRET_TOKEN" not in environment
    assert (environment["TZ"], environment["LC_ALL"]) == ("UTC", "C.UTF-8")


def test_a_script_is_not_called_main(sandbox):
    """What stands under `if __name__ == "__main__"` is for trying it out elsewhere."""
    assert records_of(result_of(sandbox, "def process(data): return {'name': __name__}")) == [{"name": "script"}]


def test_a_function_that_is_only_defined_on_a_condition_may_be_missing(sandbox):
    death = death_of(sandbox, "if False:\n    def process(data): return data")
    assert (death.phase, death.detail) == ("starting", "KeyError: 'process'")


@pytest.mark.parametrize("call", ["open('/etc/passwd')", "open('/tmp/x', 'w')", "input()", "breakpoint()"])
def test_what_needs_the_world_outside_fails_as_an_exception(sandbox, call):
    """A script that tries it by mistake learns so, at the line where it does."""
    result = result_of(sandbox, f"def process(data):\n    {call}\n    1 / 0")
    assert [(error["code"], error["script_line"]) for error in errors_of(result)] in (
        [("script_error", 2)],
        [("script_error", 3)],
    )


def test_input_records_can_be_changed_and_kept_apart(sandbox):
    """A dead letter shows the record as it came, whatever the script did to it before it failed."""
    result = result_of(sandbox, "def process(data):\n    data['n'] = 'changed'\n    raise ValueError", [{"n": 5}])
    assert letters_of(result)[0]["data"] == {"n": 5}
