"""Row conditions: which rows an expectation is about. A safe subset of what Great Expectations takes, as SQL.

Read are the conditions of Great Expectations 1 (`{"type": "comparison", ...}`), and texts of the parsers `pandas`
(`amount > 5 and country in ["BR", "PT"]`, `note.isnull()`) and `great_expectations` (`col("amount") > 5`). Names,
literals, comparisons, `in`, and, or, not: nothing else gets through, and nothing is evaluated.

As in pandas, a comparison with a missing value is false, and `!=` and `not in` are true.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from penstock.checks.tables import Impossible, Table, cell, comparable, joined, kind, literal
from penstock.core import limits

Parts = tuple["Condition", ...]

_OPERATORS: Final[Mapping[type, str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_TURNED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_IN_WORDS: Final = {"&": " and ", "|": " or ", "~": " not "}
_NULL_TESTS: Final = {"isnull": True, "isna": True, "isNull": True, "notnull": False, "notna": False, "notNull": False}
_VALID: Final = "valid are names, numbers, texts, lists, comparisons, in, and, or, not, .isnull() and .notnull()"
_CONDITIONS_MAX: Final = 100
_PARSERS: Final = ("pandas", "great_expectations", "great_expectations__experimental__", None)


@dataclass(frozen=True, slots=True)
class ColumnName:
    """Another column, where a value could stand."""

    name: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A column beside a value, a list of values, or another column."""

    column: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Nullity:
    """Whether a column is null."""

    column: str
    is_null: bool


@dataclass(frozen=True, slots=True)
class Both:
    """All of several conditions, or any of them."""

    word: str
    parts: Parts


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    part: Condition


Condition = Comparison | Nullity | Both | Not


def parse_condition(value: Any, parser: str | None) -> Condition | None:
    """Return a row condition.

    Raises:
        ValueError: when it is none that is understood; says what is not, and what would be.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        return _from_mapping(value, depth=0)
    if not isinstance(value, str):
        raise ValueError("a row condition is a text or a mapping")
    if parser not in _PARSERS:
        raise ValueError(f"the parser {parser!r} is not known; valid are 'pandas' and 'great_expectations'")
    if len(value) > limits.CONDITION.value:
        raise ValueError(f"the condition has {len(value):,} characters; at most {limits.CONDITION.value:,} are read")
    return _from_text(value)


def condition_sql(condition: Condition, table: Table) -> str:
    """Return a condition as SQL that is true or false, never null.

    Raises:
        Impossible: when a column is not there, or cannot be compared so.
    """
    match condition:
        case Not(part):
            return f"NOT ({condition_sql(part, table)})"
        case Both(word, parts):
            return joined(word.upper(), [condition_sql(part, table) for part in parts])
        case Nullity(name, is_null):
            return f"{cell(table.column(name))} IS {'' if is_null else 'NOT '}NULL"
    return _comparison_sql(condition, table)


def _comparison_sql(condition: Comparison, table: Table) -> str:
    column = table.column(condition.column)
    mine, operator = cell(column), condition.operator
    if operator in ("in", "not in"):
        values = comparable(condition.value, column)
        found = f"coalesce({mine} IN ({', '.join(values)}), false)" if values else "false"
        return found if operator == "in" else f"NOT {found}"
    if isinstance(condition.value, ColumnName):
        other = table.column(condition.value.name)
        if (kind(column) == "string") != (kind(other) == "string"):
            raise Impossible(f"columns {column.name!r} and {other.name!r} cannot be compared")
        value = cell(other)
    else:
        value = literal(condition.value, column)
    if operator == "!=":
        return f"coalesce({mine} <> {value}, true)"
    return f"coalesce({mine} {'=' if operator == '==' else operator} {value}, false)"


def _from_mapping(value: Mapping[str, Any], *, depth: int) -> Condition:
    shape = value.get("type")
    if depth > 8 or len(value.get("conditions", ())) > _CONDITIONS_MAX:  # Great Expectations has two levels and 100
        raise ValueError(f"there are more than {_CONDITIONS_MAX} conditions, or more than 8 levels of them")
    if shape in ("and", "or"):
        parts = tuple(_from_mapping(part, depth=depth + 1) for part in value.get("conditions", ()))
        if not parts:
            raise ValueError(f"the condition {shape!r} has no conditions")
        return Both(str(shape), parts)
    column = value.get("column")
    name = column.get("name") if isinstance(column, Mapping) else column
    if shape == "pass_through":
        return _from_text(str(value.get("pass_through_filter", "")))
    if not isinstance(name, str):
        raise ValueError('a condition names its column: "column": {"name": ...}')
    if shape == "nullity":
        return Nullity(name, bool(value.get("is_null")))
    if shape != "comparison":
        raise ValueError(f"the condition type {shape!r} is not known; valid are and, comparison, nullity and or")
    operator = str(value.get("operator")).replace("NOT_IN", "not in").replace("IN", "in")
    if operator not in _OPERATORS.values():
        raise ValueError(f"the operator {operator!r} is not known; valid are ==, !=, <, <=, >, >=, IN and NOT_IN")
    if value.get("parameter") is None:
        raise ValueError("a comparison has a parameter that is not null; use the type nullity for nulls")
    return _compared(name, operator, value["parameter"])


def _compared(name: str, operator: str, value: Any) -> Comparison:
    if (operator in ("in", "not in")) != isinstance(value, list):
        raise ValueError(f"{operator!r} takes {'a list' if operator in ('in', 'not in') else 'one value'}")
    return Comparison(name, operator, value)


def _from_text(text: str) -> Condition:
    names: list[str] = []

    def named(found: re.Match[str]) -> str:
        names.append(found[1])
        return f"_column_{len(names) - 1}_"

    try:
        tree = ast.parse(_in_words(re.sub(r"`([^`]+)`", named, text.strip())), mode="eval")
    except (SyntaxError, tokenize.TokenError, ValueError, RecursionError) as error:
        raise ValueError(f"{text!r} is no condition; {_VALID}") from error
    return _Reading(names).condition(tree.body)


def _in_words(text: str) -> str:
    """Return a text with `&`, `|` and `~` as words, which bind as pandas has them and not as Python does."""
    parts: list[str] = []
    column = 0
    for token in tokenize.generate_tokens(io.StringIO(text.replace("\n", " ")).readline):
        parts.append(" " * max(0, token.start[1] - column))
        parts.append(_IN_WORDS.get(token.string, token.string) if token.type == tokenize.OP else token.string)
        column = token.end[1]
    return "".join(parts).strip()


class _Reading:
    def __init__(self, names: list[str]) -> None:
        self._names = {f"_column_{number}_": name for number, name in enumerate(names)}

    def condition(self, node: ast.expr) -> Condition:
        match node:
            case ast.BoolOp(op=op, values=values):
                return Both("and" if isinstance(op, ast.And) else "or", tuple(map(self.condition, values)))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self.condition(operand))
            case ast.Compare(left=left, ops=ops, comparators=others):
                parts = tuple(self._comparisons([left, *others], ops))
                return parts[0] if len(parts) == 1 else Both("and", parts)
            case ast.Call(func=ast.Attribute(value=value, attr=attr), args=[], keywords=[]) if attr in _NULL_TESTS:
                return Nullity(self._column(value), _NULL_TESTS[attr])
        raise ValueError(f"{ast.unparse(node)!r} is no condition; {_VALID}")

    def _comparisons(self, sides: list[ast.expr], operators: list[ast.cmpop]) -> Iterator[Condition]:
        for left, node, right in zip(sides, operators, sides[1:], strict=False):
            operator = _OPERATORS.get(type(node))
            if operator is None:
                raise ValueError(f"'is' is no comparison here; {_VALID}")
            mine, other = self._side(left), self._side(right)
            if isinstance(mine, ColumnName):
                yield _compared(mine.name, operator, other)
            elif isinstance(other, ColumnName) and operator in _TURNED:
                yield _compared(other.name, _TURNED[operator], mine)
            else:
                raise ValueError(f"{ast.unparse(left)!r} is compared, but it is no column")

    def _side(self, node: ast.expr) -> Any:
        match node:
            case ast.Name() | ast.Call():
                return ColumnName(self._column(node))
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return [self._side(item) for item in items]
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
            case ast.Constant(value=str() | int() | float() as value):
                return value
        raise ValueError(f"{ast.unparse(node)!r} is no value; {_VALID}")

    def _column(self, node: ast.expr) -> str:
        match node:
            case ast.Name(id=name):
                return self._names.get(name, name)
            case ast.Call(func=ast.Name(id="col"), args=[ast.Constant(value=str(name))], keywords=[]):
                return name
        raise ValueError(f'{ast.unparse(node)!r} is no column; write its name, or col("its name")')
