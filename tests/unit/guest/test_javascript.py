"""JavaScript keeps the same promises as Python."""

from typing import Any

import pytest

from tests.trying import chunk_of, death_of, errors_of, letters_of, records_of, result_of, script_of

JS: dict[str, Any] = {"profile": "js"}


@pytest.mark.parametrize(
    ("body", "output", "counts"),
    [
        ("return data", [{"n": 0}, {"n": 1}], (2, 0, 0, 2)),
        ("return null", [], (0, 2, 0, 0)),
        ("return undefined", [], (0, 2, 0, 0)),
        ("return", [], (0, 2, 0, 0)),
        ("return [data, data]", [{"n": 0}, {"n": 0}, {"n": 1}, {"n": 1}], (2, 0, 0, 4)),
        ("return []", [], (2, 0, 0, 0)),
        ("if (data.n) return data; throw new Error('no')", [{"n": 1}], (1, 0, 1, 1)),
    ],
)
def test_a_function_returns_a_record_a_list_or_null(sandbox, body, output, counts):
    result = result_of(sandbox, f"function process(data) {{ {body} }}", 2, **JS)
    assert records_of(result) == output
    assert (result.produced, result.dropped, result.failed, result.rows) == counts


@pytest.mark.parametrize(
    ("body", "output", "counts"),
    [
        ("return records", [{"n": 0}, {"n": 1}, {"n": 2}], (3, 0, 0, 3)),
        ("return records.slice(1)", [{"n": 1}, {"n": 2}], (2, 1, 0, 2)),
        ("return null", [], (0, 3, 0, 0)),
        ("throw new Error('no')", [], (0, 0, 3, 0)),
    ],
)
def test_a_batch_is_the_chunks_records_in_order(sandbox, body, output, counts):
    result = result_of(sandbox, f"function process_batch(records) {{ {body} }}", 3, **JS)
    assert records_of(result) == output
    assert (result.produced, result.dropped, result.failed, result.rows) == counts


@pytest.mark.parametrize(
    "source",
    [
        "const process = data => data",
        "let process = function(data) { return data }",
        "var process = data => data",
        "class C { static f(data) { return data } }\nconst process = C.f",
    ],
)
def test_a_function_may_be_defined_in_any_way(sandbox, source):
    assert records_of(result_of(sandbox, source, **JS)) == [{"n": 0}]


def test_text_survives_the_way_there_and_back(sandbox):
    record = {"text": 'Grüße 漢字 🙂 \u2028 \x00 "\\ </script>', "nested": {"a": [1.5, -2, True, None, {}]}}
    assert records_of(result_of(sandbox, "const process = data => data", [record], **JS)) == [record]


@pytest.mark.parametrize(
    ("source", "type_name", "message", "line"),
    [
        ("function process(data) {\n  throw new Error('no such shop');\n}", "Error", "no such shop", 2),
        (
            "function f(d) {\n  return d.a.b;\n}\nfunction process(data) {\n  return f(data);\n}",
            "TypeError",
            "cannot read",
            2,
        ),
        ("const process = data =>\n  nothing", "ReferenceError", "'nothing' is not defined", 2),
        ("\nfunction process(data) {\n\n  JSON.parse('{')\n}", "SyntaxError", "", 4),
        ("const process = data => nothing", "ReferenceError", "'nothing' is not defined", None),
    ],
)
def test_an_error_says_its_type_its_words_and_the_scripts_own_line(sandbox, source, type_name, message, line):
    """QuickJS knows no line in a function that stands on one."""
    [error] = errors_of(result_of(sandbox, source, **JS))
    assert (error["code"], error["type"], error["script_line"]) == ("script_error", type_name, line)
    assert message in error["message"]


@pytest.mark.parametrize("thrown", ["'text'", "5", "null", "undefined", "{a: 1}", "Symbol('x')"])
def test_whatever_is_thrown_harms_only_its_own_record(sandbox, thrown):
    source = f"function process(data) {{ if (data.n === 1) throw {thrown}; return data; }}"
    result = result_of(sandbox, source, 3, **JS)
    assert [error["code"] for error in errors_of(result)] == ["script_error"]
    assert result.produced == 2


@pytest.mark.parametrize(
    ("returned", "found"),
    [("5", "number"), ("'text'", "string"), ("true", "boolean"), ("[data, null]", "null"), ("[[data]]", "object")],
)
def test_what_is_no_record_harms_only_its_own(sandbox, returned, found):
    result = result_of(sandbox, f"const process = data => data.n === 1 ? {returned} : data", 3, **JS)
    [error] = errors_of(result)
    assert (error["code"], error["message"]) == ("output_invalid", f"a record is an object; found {found}")
    assert result.produced == 2


def test_a_dead_letter_shows_the_record_as_it_came(sandbox):
    source = "function process(data) { data.n = 'changed'; throw new Error('no'); }"
    assert [letter["data"] for letter in letters_of(result_of(sandbox, source, 2, **JS))] == [{"n": 0}, {"n": 1}]


@pytest.mark.parametrize(
    ("body", "bounds", "code"),
    [
        ("const f = n => f(n + 1) + 1; return f(0)", {}, "limit_recursion"),
        ("const x = []; for (;;) x.push('x'.repeat(9999) + x.length)", {"memory_bytes": 64 * 2**20}, "limit_memory"),
        ("data.x = 'y'.repeat(2**20)", {"output_bytes": 2**20}, "limit_output"),
    ],
    ids=["recursion", "memory", "output"],
)
def test_a_limit_harms_only_the_record_that_hits_it(sandbox, body, bounds, code):
    source = f"function process(data) {{ if (data.n === 1) {{ {body} }} return data; }}"
    result = result_of(sandbox, source, 3, **JS, **bounds)
    [error] = errors_of(result)
    assert error["code"] == code
    assert "raises it" in error["message"]
    assert result.produced == 2


def test_a_loop_without_end_meets_the_cpu_limit(sandbox):
    death = death_of(sandbox, "function process(data) { if (data.n === 2) for (;;); return data }", 4, cpu_s=1, **JS)
    assert (death.code, death.phase, death.record) == ("limit_cpu", "records", 2)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("function process(data) { return data", "SyntaxError"),
        ("throw new Error('at the top')", "Error: at the top"),
        (
            "function clean(data) { return data }",
            "exactly one of process, process_batch must be a function; found none",
        ),
        ("const process = d => d; const process_batch = r => r", "found process, process_batch"),
        ("const process = 5", "found none"),
        ("import os from 'os'; const process = d => d", "SyntaxError"),
    ],
)
def test_a_top_level_that_fails_says_why_before_any_record(sandbox, source, words):
    death = death_of(sandbox, source, **JS)
    assert death.phase == "starting"
    assert words in death.detail


def test_a_mistake_in_the_syntax_has_its_line(sandbox):
    assert death_of(sandbox, "// one\n// two\nfunction process(data) { return +; }", **JS).script_line == 3


def test_what_is_logged_is_kept(sandbox):
    source = "console.log('top', 1, {a: [2]})\nfunction process(data) { console.log(data.n); return data }"
    assert result_of(sandbox, source, 2, **JS).printed == 'top 1 {"a":[2]}\n0\n1\n'


def test_random_numbers_follow_from_the_seed_of_the_chunk(sandbox):
    source = "const process = data => ({x: [Math.random(), Math.random()]})"
    with sandbox.open_script(script_of(source, **JS), parallel=1) as runner:
        first, second, again = (
            records_of(runner.run(chunk_of(2), seed=seed, emit="ndjson", skip={})) for seed in (2**64 - 1, 7, 2**64 - 1)
        )
    numbers = [number for record in first + second for number in record["x"]]
    assert first == again
    assert len(set(numbers)) == 8
    assert all(0 <= number < 1 for number in numbers)


COUNTING = "let seen = 0\nfunction process(data) { seen += 1; return {seen} }"


@pytest.mark.parametrize(("warm", "seen"), [(False, [1, 1, 1, 1]), (True, [1, 1, 2, 2])])
def test_globals_live_on_in_a_warm_child_only(sandbox, warm, seen):
    with sandbox.open_script(script_of(COUNTING, warm=warm, **JS), parallel=1) as runner:
        ends = [runner.run(chunk_of(1), seed=1, emit="ndjson", skip={}) for _ in range(4)]
    assert [records_of(end)[0]["seen"] for end in ends] == seen


@pytest.mark.parametrize(
    "name", ["require", "fetch", "XMLHttpRequest", "std", "os", "Deno", "process.env", "setTimeout"]
)
def test_there_is_nothing_to_reach_the_world_with(sandbox, name):
    attempt = f"try {{ return {{kind: typeof {name}}} }} catch {{ return {{kind: 'undefined'}} }}"
    assert records_of(result_of(sandbox, f"const process = data => {{ {attempt} }}", **JS)) == [{"kind": "undefined"}]
