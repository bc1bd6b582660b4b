"""The language layer: friendly words about a script before and while it runs. The kernel keeps it in, not this."""

from __future__ import annotations

import ast
import builtins
import difflib
import sys
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import accumulate
from types import ModuleType
from typing import Any, Final

from penstock_guest.failures import failure

ENTRY_POINTS: Final = ("process", "process_batch", "process_table")


def problems(source: bytes, *, name: str, allowed: Sequence[str]) -> list[dict[str, Any]]:
    """Return what would keep a Python script from running, each with line and column; an empty list when nothing would.

    Args:
        source: the script's bytes.
        name: its file name, for messages.
        allowed: modules that it may import.
    """
    try:
        tree = ast.parse(source, filename=name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return [_syntax_problem(error)]
    return [*_forbidden_imports(tree, allowed), *_entry_point_problems(tree, allowed)]


def _syntax_problem(error: Exception) -> dict[str, Any]:
    line = getattr(error, "lineno", None)
    message = getattr(error, "msg", None) or str(error) or type(error).__name__
    return failure("script_syntax", message, type_name=type(error).__name__, script_line=line) | {
        "column": getattr(error, "offset", None),
        "hint": "Correct the script; nothing has been read.",
    }


def _forbidden_imports(tree: ast.AST, allowed: Sequence[str]) -> Iterator[dict[str, Any]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        else:
            continue
        for module in names:
            if not is_allowed(module, allowed):
                yield _import_problem(module, node, allowed)


def is_allowed(module: str, allowed: Sequence[str]) -> bool:
    """Return whether a script may import the module: it is on the list, or is loaded and part of a package on it."""
    packages = accumulate(module.split("."), "{}.{}".format)
    return module in allowed or (module in sys.modules and any(package in allowed for package in packages))


def _import_problem(module: str, node: ast.stmt, allowed: Sequence[str]) -> dict[str, Any]:
    return failure("import_not_allowed", import_message(module), script_line=node.lineno) | {
        "column": node.col_offset + 1,
        "hint": import_hint(module, allowed),
    }


def import_message(module: str) -> str:
    """Return the sentence for a forbidden import."""
    return f"a script cannot import {module!r}"


def import_hint(module: str, allowed: Sequence[str]) -> str:
    """Return what to do about a forbidden import; it names what is allowed."""
    if module.split(".")[0] in ("numpy", "pyarrow"):
        return "Run it with --profile arrow."
    near = difflib.get_close_matches(module, allowed, n=1)
    if near:
        return f"Did you mean {near[0]}?"
    return f"Scripts can import: {', '.join(sorted(name for name in allowed if not name.startswith('_')))}."


def _entry_point_problems(tree: ast.Module, allowed: Sequence[str]) -> Iterator[dict[str, Any]]:
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    bound = {name for node in tree.body for name in _names_bound(node)}
    found = _declared(bound)
    if len(found) != 1:
        yield _entry_point_count_problem(found, sorted(bound))
        return
    function = functions.get(found[0])
    if isinstance(function, ast.AsyncFunctionDef):
        yield _at(
            function,
            "script_async",
            f"{found[0]} is async; a script is called and must return",
            "Write def, not async def.",
        )
    elif function is not None and not _takes_one_argument(function.args):
        yield _at(
            function, "script_arity", f"{found[0]} must take exactly one argument", f"Write def {found[0]}(data):"
        )
    if found[0] == "process_table" and "pyarrow" not in allowed:
        where = function or tree.body[0]
        yield _at(where, "script_profile", "process_table needs the profile arrow", "Run it with --profile arrow.")


def declared_entry_point(source: bytes) -> str:
    """Return the name of the function that a script without problems defines."""
    return _declared({name for node in ast.parse(source).body for name in _names_bound(node)})[0]


def _declared(bound: AbstractSet[str]) -> list[str]:
    return [name for name in ENTRY_POINTS if name in bound]


def _names_bound(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Assign(targets=targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (alias.asname or alias.name for alias in names)
        case ast.If() | ast.Try() | ast.With():
            yield from (
                name
                for child in ast.iter_child_nodes(node)
                if isinstance(child, ast.stmt)
                for name in _names_bound(child)
            )


def _entry_point_count_problem(found: list[str], bound: list[str]) -> dict[str, Any]:
    if found:
        message = f"the script defines {' and '.join(found)}; exactly one of {', '.join(ENTRY_POINTS)} is run"
        return failure("script_entry_point", message) | {
            "column": None,
            "hint": "Keep one of them and rename the others.",
        }
    near = next(
        (match for name in bound for match in difflib.get_close_matches(name, ENTRY_POINTS, n=1, cutoff=0.75)), None
    )
    message = f"the script defines none of {', '.join(ENTRY_POINTS)}"
    hint = (
        f"Did you mean {near}?" if near else "Add def process(data): that returns a record, a list of records, or None."
    )
    return failure("script_entry_point", message) | {"column": None, "hint": hint}


def _takes_one_argument(arguments: ast.arguments) -> bool:
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    keywords_required = any(default is None for default in arguments.kw_defaults)
    return required <= 1 and (len(positional) >= 1 or arguments.vararg is not None) and not keywords_required


def _at(node: ast.stmt, code: str, message: str, hint: str) -> dict[str, Any]:
    return failure(code, message, script_line=node.lineno) | {"column": node.col_offset + 1, "hint": hint}


def guarded_builtins(allowed: Sequence[str]) -> dict[str, Any]:
    """Return the builtins that a script sees: all of them, with an import that says what is allowed."""
    real_import = builtins.__import__

    def import_allowed(
        name: str, globals_: Any = None, locals_: Any = None, fromlist: Sequence[str] = (), level: int = 0
    ) -> ModuleType:
        if level or not is_allowed(name, allowed):
            raise ImportError(f"{import_message('.' * level + name)}. {import_hint(name, allowed)}")
        return real_import(name, globals_, locals_, fromlist, level)

    return vars(builtins) | {"__import__": import_allowed}
