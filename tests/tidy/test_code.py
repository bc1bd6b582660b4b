"""How the code is cut and named: docstrings, sizes, names, reasons."""

import ast
import re

from tests.tidy.tree import FUNCTION, ROOT, definitions, files, files_named, lines, parsed, text

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
FILE_SIZE_MAX_BYTES = 1024 * 1024
STEPS = "src/penstock/database/migrations/versions/"  # written by tools/migration.py, and never changed afterwards
# What overruns, with its size today. An entry may shrink or go; none may grow or be added.
FUNCTION_OVERRUNS: dict[str, int] = {}
FILE_OVERRUNS: dict[str, int] = {}

NAMELESS = re.compile(r"^(util|utils|helper|helpers|common|misc|manager|managers)$|^base_")
NAMELESS_END = re.compile(r"(Util|Utils|Helper|Helpers|Manager)$")
REASONLESS = re.compile(r"#\s*(type: ignore\[[^]]*\]|noqa: [A-Z0-9, ]+)\s*$")


def test_every_module_says_what_it_is():
    """The file's docstring opens with one line."""
    silent = [str(path) for path in files_named(".py") if not (ast.get_docstring(parsed(path)) or "").split("\n")[0]]
    assert silent == []


def test_functions_are_short():
    """Signature and body count; the docstring does not, or writing it would be punished."""
    sizes = {f"{place} {node.name}": body_lines(node) for place, node in definitions() if isinstance(node, FUNCTION)}
    overruns = {re.sub(r":\d+ ", ":", name): size for name, size in sizes.items() if size > FUNCTION_LINES_MAX}
    overruns = {name: size for name, size in overruns.items() if not name.startswith(STEPS)}
    assert overruns == FUNCTION_OVERRUNS


def test_files_are_short():
    """A file that overruns wants to be two."""
    sizes = {str(path): len(text(path).splitlines()) for path in files_named(".py") if not str(path).startswith(STEPS)}
    assert {path: size for path, size in sizes.items() if size > FILE_LINES_MAX} == FILE_OVERRUNS


def test_names_say_what_a_thing_is():
    """No drawer for things that nobody could name."""
    modules = [
        str(path) for path in files_named(".py") for part in (*path.parts[:-1], path.stem) if NAMELESS.search(part)
    ]
    classes = [f"{place} {node.name}" for place, node in definitions() if NAMELESS_END.search(node.name)]
    assert modules + classes == []


def test_a_silenced_check_has_a_reason():
    """`# type: ignore[code]` and `# noqa: code` go on to say why."""
    assert [place for place, line in lines() if place.split(":")[0].endswith(".py") and REASONLESS.search(line)] == []


def test_a_hint_begins_as_a_sentence():
    """Hints of all doors and of locked children look alike."""
    said = [
        (f"{path}:{node.value.lineno}", first_words(node.value))
        for path in files_named(".py")
        if path.parts[0] == "src"
        for node in ast.walk(parsed(path))
        if (isinstance(node, ast.keyword) and node.arg == "hint")
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in {"hint", "_HINT"})
    ]
    assert len(said) > 100
    assert [place for place, words in said if words[:1].islower() and not words.startswith("penstock ")] == []


def test_no_large_file_is_tracked():
    """Data is generated or fetched, not kept in git."""
    assert [str(path) for path in files() if (ROOT / path).stat().st_size > FILE_SIZE_MAX_BYTES] == []


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, without the docstring."""
    assert node.end_lineno is not None
    first = node.body[0]
    has_docstring = ast.get_docstring(node, clean=False) is not None
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if has_docstring else 0
    return node.end_lineno - node.lineno + 1 - docstring


def first_words(node: ast.expr) -> str:
    """The text that an expression begins with; empty when it begins with something else."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
