"""`when:` of a task: an expression over the run's parameters, its date, and how tasks before it have ended. Pure.

`params.full`, `date >= '2026-01-01' and weekday(date) == 'monday'`, `tasks.check == 'failed' or params.n in [1, 2]`

It is a small part of Python: `and`, `or`, `not`, comparisons, `in`, lists, texts, numbers, `true`, `false`, `null`;
`date` (text, `2026-01-31`), `params.NAME`, `tasks.NAME` (`succeeded`, `skipped`, `failed`, `blocked`, `cancelled`), and
`year(date)`, `month(date)`, `day(date)`, `weekday(date)`. It is walked, never run by Python itself.
"""

from __future__ import annotations

import ast
import calendar
import datetime as dt
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

_WEEKDAYS: Final = tuple(name.lower() for name in calendar.day_name)
_CHARACTERS_MAX: Final = 2_000
_DEPTH_MAX: Final = 50
_CONSTANTS: Final[Mapping[str, Any]] = {"true": True, "false": False, "null": None}
_FUNCTIONS: Final[Mapping[str, Callable[[dt.date], Any]]] = {
    "weekday": lambda date: _WEEKDAYS[date.weekday()],
    "day": lambda date: date.day,
    "month": lambda date: date.month,
    "year": lambda date: date.year,
}
_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}
_VALID: Final = ("date", "params.NAME", "tasks.NAME", *(f"{name}(date)" for name in _FUNCTIONS), *_CONSTANTS)


class ConditionInvalid(ValueError):
    """An expression that cannot be understood, or not judged.

    Attributes:
        word: what stands there and means nothing; empty when no single word is to blame.
        valid: what could stand there.
    """

    def __init__(self, message: str, *, word: str = "", valid: Collection[str] = _VALID) -> None:
        super().__init__(message)
        self.word, self.valid = word, tuple(valid)


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked expression.

    Attributes:
        tasks: whose outcomes it asks for.
    """

    text: str
    tree: ast.expr
    tasks: frozenset[str]

    def holds(self, *, date: str | None, params: Mapping[str, Any], outcomes: Mapping[str, str]) -> bool:
        """Return whether it is true.

        Args:
            date: of the run, `YYYY-MM-DD`; None without one, which is like no date there is.
            params: of the run.
            outcomes: of the tasks that it asks for.

        Raises:
            ConditionInvalid: when values of different types are compared, or it is neither true nor false.
        """
        value = _Judge(date, params, outcomes).value(self.tree)
        if not isinstance(value, bool | _Any):
            raise ConditionInvalid(f"it is {_shown(value)}, which is neither true nor false")
        return bool(value)


def parse_condition(text: str, *, params: Mapping[str, Any], tasks: Collection[str]) -> Condition:
    """Return an expression, checked as far as that can be done before a run.

    Args:
        text: the expression.
        params: of the pipeline, with their defaults.
        tasks: that have ended before.

    Raises:
        ConditionInvalid: when it is no such expression, or names what there is not.
    """
    if len(text) > _CHARACTERS_MAX:
        raise ConditionInvalid(f"it has {len(text):,} characters; at most {_CHARACTERS_MAX:,} are read")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        words = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise ConditionInvalid(f"it is no expression: {words}") from None
    check = _Check(params, tasks)
    check.node(tree, 0)
    condition = Condition(text, tree, frozenset(check.asked))
    known = {name: _like(value) for name, value in params.items()}
    condition.holds(date="2026-01-31", params=known, outcomes=dict.fromkeys(check.asked, "succeeded"))
    return condition


class _Any:
    """Stands for a parameter without a default, of which nobody knows the type yet: it compares with everything."""

    def _compare(self, _other: object) -> bool:
        return True

    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _compare
    __hash__ = object.__hash__
    __eq__ = object.__eq__


def _like(value: Any) -> Any:
    return _Any() if value is None else value


class _Check:
    """Walks an expression and looks at every name in it."""

    def __init__(self, params: Mapping[str, Any], tasks: Collection[str]) -> None:
        self._params, self._tasks = params, tasks
        self.asked: set[str] = set()

    def node(self, node: ast.expr, depth: int) -> None:
        """Make sure that a node is one of the language, and so are those in it."""
        if depth > _DEPTH_MAX:
            raise ConditionInvalid("it is nested too deeply")
        match node:
            case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts):
                self._all(parts, depth)
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=inner):
                self.node(inner, depth + 1)
            case ast.Compare(left=left, ops=operators, comparators=others):
                if unknown := [one for one in operators if type(one) not in _COMPARISONS]:
                    raise ConditionInvalid(f"{type(unknown[0]).__name__} is no comparison; valid: == != < <= > >= in")
                self._all([left, *others], depth)
            case ast.Constant(value=str() | int() | float() | bool() | None):
                pass
            case ast.Name(id=name):
                if name != "date" and name not in _CONSTANTS:
                    raise ConditionInvalid(f"there is no {name!r}", word=name)
            case ast.Attribute(value=ast.Name(id="params"), attr=name):
                self._require(name, self._params, "params")
            case ast.Attribute(value=ast.Name(id="tasks"), attr=name):
                self._require(name, self._tasks, "tasks")
                self.asked.add(name)
            case ast.Call(func=ast.Name(id=name), args=[ast.Name(id="date")], keywords=[]) if name in _FUNCTIONS:
                pass
            case _:
                raise ConditionInvalid(f"{ast.unparse(node)[:80]} is not understood")

    def _all(self, nodes: Collection[ast.expr], depth: int) -> None:
        for node in nodes:
            self.node(node, depth + 1)

    @staticmethod
    def _require(name: str, known: Collection[str], of: Literal["params", "tasks"]) -> None:
        if name not in known:
            what = "the pipeline has no such parameter" if of == "params" else "no such task ends before this one"
            raise ConditionInvalid(f"{of}.{name}: {what}", word=name, valid=known)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Walks a checked expression and says what it is."""

    date: str | None
    params: Mapping[str, Any]
    outcomes: Mapping[str, str]

    def value(self, node: ast.expr) -> Any:
        """Return what a node is."""
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return all(list(map(self._truth, parts)))  # each is looked at, so that none is wrong unseen
            case ast.BoolOp(values=parts):
                return any(list(map(self._truth, parts)))
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return not self._truth(inner)
            case ast.UnaryOp(operand=inner):
                return self._negative(inner)
            case ast.Compare():
                return self._compared(node)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [self.value(part) for part in parts]
            case ast.Constant(value=value):
                return value
            case ast.Name(id="date"):
                return self.date
            case ast.Name(id=name):
                return _CONSTANTS[name]
            case ast.Attribute(value=ast.Name(id="params"), attr=name):
                return self.params.get(name)
            case ast.Attribute(attr=name):
                return self.outcomes.get(name)
            case ast.Call(func=ast.Name(id=name)):
                return None if self.date is None else _FUNCTIONS[name](dt.date.fromisoformat(self.date))
        raise ConditionInvalid(f"{ast.unparse(node)[:80]} is not understood")

    def _truth(self, node: ast.expr) -> bool:
        value = self.value(node)
        if isinstance(value, bool | _Any):
            return bool(value)
        raise ConditionInvalid(f"{ast.unparse(node)[:80]} is {_shown(value)}, which is neither true nor false")

    def _negative(self, node: ast.expr) -> Any:
        value = self.value(node)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
        raise ConditionInvalid(f"-{ast.unparse(node)[:80]} is no number")

    def _compared(self, node: ast.Compare) -> bool:
        values = [self.value(part) for part in (node.left, *node.comparators)]
        for one, how, other in zip(values, node.ops, values[1:], strict=False):
            if None in (one, other) and not isinstance(how, ast.Eq | ast.NotEq | ast.In | ast.NotIn):
                return False  # nothing is before or after what is not there
            try:
                if not _COMPARISONS[type(how)](one, other):
                    return False
            except TypeError:
                words = f"{ast.unparse(node)[:80]}: {_shown(one)} and {_shown(other)} cannot be compared"
                raise ConditionInvalid(words) from None
        return True


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else repr(value)
