"""A tenant's JavaScript, run by QuickJS in a locked child like Python's: the engine is not the boundary."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
import quickjs

from penstock_guest import chunk
from penstock_guest.child import Output, OutputFull
from penstock_guest.failures import Describer, failure
from penstock_guest.printed import Printed
from penstock_guest.reading import decode

ENTRY_POINTS: Final = ("process", "process_batch")
_STACK_BYTES: Final = 4 * 2**20

# Put before the script: random numbers follow from the chunk's seed (mulberry32), and console.log prints.
_PRELUDE: Final = (
    "Math.random = (s => () => { s = s + 0x6D2B79F5 | 0; let t = Math.imul(s ^ s >>> 15, 1 | s);"
    " t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t; return ((t ^ t >>> 14) >>> 0) / 4294967296; })(%d);"
    "globalThis.console = { log: (...words) => penstock_print("
    "words.map(word => typeof word === 'string' ? word : JSON.stringify(word)).join(' ')) };"
)
# Put after it: text of JSON in, lines of JSON out, so that no object crosses between the two languages.
_CALL: Final = """
(f => function penstock_call(text) {
  const result = f(JSON.parse(text));
  if (result === null || result === undefined) return null;
  const records = Array.isArray(result) ? result : [result];
  for (const record of records)
    if (typeof record !== "object" || record === null || Array.isArray(record))
      throw new TypeError("penstock: a record is an object; found " + (record === null ? "null" : typeof record));
  return records.map(record => JSON.stringify(record) + "\\n").join("");
})(%s)
"""
_PLACE: Final = re.compile(r"at (?:(\S+) )?\(?<(?:input|evalScript)>:(\d+)")
_LIMITS: Final = {"out of memory": "limit_memory", "stack overflow": "limit_recursion"}


class JavaScript:
    """One version of a script in JavaScript, compiled in the child: its engine cannot compile without running."""

    entry_point = ""

    def __init__(self, spec: dict[str, Any], source: bytes) -> None:
        self.problems: list[dict[str, Any]] = []
        self._source = source.decode("utf-8", "replace")
        self._memory_bytes: int = spec["memory_bytes"]
        self._describer = JavaScriptDescriber(spec["name"], spec["limit_words"])
        self._function: tuple[str, Any] | None = None

    def run(self, request: dict[str, Any], given: memoryview, output: Output) -> dict[str, Any]:
        """Run the script over one chunk and return the account of its records."""
        printed = Printed()
        try:
            kind, call = self._entry_point(request["seed"], printed)
        except (quickjs.JSException, MissingEntryPoint) as error:
            return {"error": self._describer.describe(error) | {"phase": "starting"}, "printed": printed.text()}
        account = chunk.Account(request, output)
        try:
            self._call(kind, call, request, given, account)
            return account.reply() | {"printed": printed.text()}
        except OutputFull:
            return {
                "error": self._describer.limit("limit_output") | {"phase": "whole_chunk"},
                "printed": printed.text(),
            }

    def _entry_point(self, seed: int, printed: Printed) -> tuple[str, Any]:
        if self._function is None:
            context = quickjs.Context()
            context.set_memory_limit(self._memory_bytes)
            context.set_max_stack_size(_STACK_BYTES)
            context.add_callable("penstock_print", lambda text: printed.write(f"{text}\n") and None)
            context.eval(_PRELUDE % (seed & 0x7FFFFFFF))
            context.eval(self._source)
            kind = _declared(context)
            self._function = kind, context.eval(_CALL % kind)
        return self._function

    def _call(self, kind: str, call: Any, request: dict[str, Any], given: memoryview, account: chunk.Account) -> None:
        records = decode(request["format"], given[: request["input_bytes"]])
        if kind == "process":
            chunk.run_each(chunk.Call(lambda record: call(_text(record)), _lines, self._describer), records, account)
        else:
            chunk.run_batch(chunk.Call(lambda batch: call(_text(batch)), _lines, self._describer), records, account)


class MissingEntryPoint(Exception):
    """The script defines none of the functions that are run, or both."""


class JavaScriptDescriber(Describer):
    """Describes what JavaScript throws: QuickJS gives the message and the stack as one text."""

    def describe(self, error: BaseException, *, code: str = "script_error") -> dict[str, Any]:
        """Return code, type, message and script line of an error that the script threw."""
        if not isinstance(error, quickjs.JSException):
            return super().describe(error, code=code)
        message, _, stack = str(error).partition("\n")
        kind, _, words = message.partition(": ")
        if words.startswith("penstock: "):
            return failure("output_invalid", words.removeprefix("penstock: "))
        code = next((code for sign, code in _LIMITS.items() if sign in message), code)
        places = (int(line) for name, line in _PLACE.findall(stack) if not name.startswith("penstock_"))
        return failure(
            code, self.limit_words.get(code) or words or message, type_name=kind, script_line=next(places, None)
        )


def _declared(context: Any) -> str:
    found = [name for name in ENTRY_POINTS if context.eval(f"typeof {name} === 'function'")]
    if len(found) != 1:
        raise MissingEntryPoint(
            f"exactly one of {', '.join(ENTRY_POINTS)} must be a function; found {', '.join(found) or 'none'}"
        )
    return found[0]


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _lines(result: str) -> tuple[bytes, int]:
    lines = result.encode()
    return lines, lines.count(b"\n")
