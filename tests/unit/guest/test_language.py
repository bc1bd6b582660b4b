"""What would keep a script from running is said in words, with line and column."""

import pytest

from penstock.core.scripts import ScriptVersion
from penstock_guest import language, profiles

STANDARD = profiles.ALLOWED["std"]


def problems(source, allowed=STANDARD):
    """What is said of a script."""
    return language.problems(source if isinstance(source, bytes) else source.encode(), name="s.py", allowed=allowed)


def places(source, **options):
    """Code, line and column of each problem."""
    return [(each["code"], each["script_line"], each["column"]) for each in problems(source, **options)]


PROCESS = "\ndef process(data): return data\n"


@pytest.mark.parametrize(
    "source",
    [
        "def process(data): ...",
        "def process(data, /): ...",
        "def process(*records): ...",
        "def process(data, more=1): ...",
        "def process(data, *, more=1): ...",
        "def process(data, **more): ...",
        "def process_batch(records): ...",
        "process = lambda data: data",
        "process: object = lambda data: data",
        "def clean(data): ...\nprocess = clean",
        "a = process = len",
        "from json import dumps as process",
        "class process:\n    def __new__(cls, data): return data",
        "if True:\n    def process(data): ...",
        "try:\n    import json\nfinally:\n    def process(data): ...",
        "import json, re\nfrom datetime import date\nimport collections.abc\nimport json.decoder" + PROCESS,
        "# encoding: latin-1\ntext = '\xe9'\ndef process(data): ...".encode("latin-1"),
    ],
)
def test_a_script_that_can_run_has_no_problems(source):
    assert problems(source) == []


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("import os", ("import_not_allowed", 1, 1)),
        ("\n\nimport json, socket", ("import_not_allowed", 3, 1)),
        ("def late():\n    from subprocess import run", ("import_not_allowed", 2, 5)),
        ("from . import x", ("import_not_allowed", 1, 1)),
        ("from .json import x", ("import_not_allowed", 1, 1)),
        ("import json.tool", ("import_not_allowed", 1, 1)),
        ("import numpy", ("import_not_allowed", 1, 1)),
    ],
)
def test_a_forbidden_import_is_named_with_its_place(source, place):
    assert places(source + PROCESS) == [place]


def test_every_forbidden_import_is_named():
    messages = [each["message"] for each in problems("import os, sys\nfrom subprocess import run" + PROCESS)]
    assert messages == [f"a script cannot import '{name}'" for name in ("os", "sys", "subprocess")]


@pytest.mark.parametrize(
    ("module", "hint"),
    [
        ("jsn", "Did you mean json?"),
        ("numpy", "Run it with --profile arrow."),
        ("requests", "Scripts can import: abc, "),
    ],
)
def test_a_forbidden_import_comes_with_what_to_do(module, hint):
    [problem] = problems(f"import {module}" + PROCESS)
    assert problem["hint"].startswith(hint)


def test_a_hint_does_not_name_what_is_for_insiders():
    [problem] = problems("import requests" + PROCESS)
    assert "__future__" not in problem["hint"]


@pytest.mark.parametrize(
    ("source", "code", "place"),
    [
        ("def process(): ...", "script_arity", (1, 1)),
        ("\ndef process(a, b): ...", "script_arity", (2, 1)),
        ("def process(a, b, c=1): ...", "script_arity", (1, 1)),
        ("def process(data, *, strict): ...", "script_arity", (1, 1)),
        ("def process(**data): ...", "script_arity", (1, 1)),
        ("async def process(data): ...", "script_async", (1, 1)),
        ("x = 1", "script_entry_point", (None, None)),
        ("", "script_entry_point", (None, None)),
        ("def process(d): ...\ndef process_batch(d): ...", "script_entry_point", (None, None)),
        ("def process_table(table): ...", "script_profile", (1, 1)),
    ],
)
def test_what_is_wrong_with_the_function_is_named(source, code, place):
    assert places(source) == [(code, *place)]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("def process(data) return data", 1),
        ("def process(data):\nreturn data", 2),
        ("def process(data):\n\treturn 1\n        return 2", 3),
        ("def process(data):\n    return 'x", 2),
    ],
)
def test_a_mistake_in_the_syntax_is_found(source, line):
    """Where in the line depends on the version of Python."""
    [problem] = problems(source)
    assert (problem["code"], problem["script_line"]) == ("script_syntax", line)
    assert problem["column"] >= 1


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("def proces(data): ...", "Did you mean process?"),
        ("def process_batches(records): ...", "Did you mean process_batch?"),
        ("def clean(data): ...", "Add def process(data):"),
        ("def process(d): ...\ndef process_batch(d): ...", "Keep one of them"),
    ],
)
def test_a_missing_function_comes_with_what_to_do(source, hint):
    assert problems(source)[0]["hint"].startswith(hint)


def test_both_names_of_two_functions_are_said():
    [problem] = problems("def process(d): ...\ndef process_batch(d): ...")
    assert "defines process and process_batch; exactly one" in problem["message"]


def test_a_table_function_is_fine_under_the_profile_arrow():
    assert problems("def process_table(table): ...", allowed=profiles.ALLOWED["arrow"]) == []


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "(" * 500_000 + ")" * 500_000,
        "x = " + "-" * 500_000 + "1",
        "x = " + "1+" * 400_000 + "1",
        "x" + ".y" * 400_000,
        "x = 1" + "0" * 900_000,
        b"\xff\xfe\x00",
        b"x = 1\0",
        b"# encoding: no-such",
    ],
    ids=["parentheses", "minuses", "sum", "attributes", "digits", "utf-16", "zero byte", "unknown encoding"],
)
def test_source_that_no_compiler_likes_is_a_problem_and_no_crash(sandbox, source):
    """In a zygote, as it will be: a compiler that crashes there takes nothing with it."""
    source = source if isinstance(source, bytes) else source.encode()
    [problem, *_] = sandbox.check(ScriptVersion("s.py", source, "python", "std"))
    assert problem["code"] in ("script_syntax", "script_entry_point")
    assert str(problem["message"])
    assert str(problem["hint"])


def test_the_entry_point_is_the_function_that_is_defined():
    assert language.declared_entry_point(b"def process_batch(records): ...") == "process_batch"


def test_an_import_at_run_time_is_refused_with_the_same_words():
    builtins = language.guarded_builtins(STANDARD)
    with pytest.raises(ImportError, match=r"a script cannot import 'os'\. Scripts can import: abc"):
        exec("import os", {"__builtins__": builtins})


def test_a_relative_import_at_run_time_is_refused():
    builtins = language.guarded_builtins(STANDARD)
    with pytest.raises(ImportError, match=r"a script cannot import '\.'"):
        exec("from . import x", {"__builtins__": builtins, "__package__": "json", "__name__": "json.x"})


def test_an_allowed_import_at_run_time_works():
    scope = {"__builtins__": language.guarded_builtins(STANDARD)}
    exec("import json\nfrom collections.abc import Mapping", scope)
    assert "Mapping" in scope
