"""A tenant's JavaScript, run by QuickJS in a locked child like Python's: the engine is not the boundary."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
import quickjs

from penstock_guest import chunk
from penstock_guest.child import Output
from penstock_guest.failures import Describer, failure
from penstock_guest.printed import Printed
from penstock_guest.reading import decode
from penstock_guest.wire import HEADER_BYTES

ENTRY_POINTS: Final = ("process", "process_batch")
_STACK_BYTES: Final = 4 * 2**20

# Put before the script: random numbers follow from the chunk's seed (mulberry32), and console.log prints.
_PRELUDE: Final = """
const penstock_word = word => typeof word === "string" ? word : JSON.stringify(word);
globalThis.console = {
  log: (...words) => penstock_print(words.map(penstock_word).join(" ")),
};
let penstock_state = 0;
Math.random = () => {
  penstock_state = penstock_state + 0x6D2B79F5 | 0;
  let t = Math.imul(penstock_state ^ penstock_state >>> 15, 1 | penstock_state);
  t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
  return ((t ^ t >>> 14) >>> 0) / 4294967296;
};
(seed => { penstock_state = seed; })
"""
# Put after it: text of JSON in, lines of JSON out, so that no object crosses between the two languages.
_CALL: Final = """
(f => {
function penstock_finite(value) {
  if (typeof value === "number" && !Number.isFinite(value))
    throw new TypeError("penstock: a record cannot hold " + value + ": JSON has no form for it;"
      + " valid: a finite number, null, text");
  if (typeof value === "object" && value !== null) Object.values(value).forEach(penstock_finite);
}
function penstock_line(record) {
  const line = JSON.stringify(record);
  if (line.includes("null")) penstock_finite(record);
  return line + "\\n";
}
return function penstock_call(text) {
  const result = f(JSON.parse(text));
  if (result === null || result === undefined) return null;
  const records = Array.isArray(result) ? result : [result];
  for (const record of records)
    if (typeof record !== "object" || record === null || Array.isArray(record))
      throw new TypeError("penstock: a record is an object; found " + (record === null ? "null" : typeof record));
  return records.map(penstock_line).join("");
}})(%s)
"""
_PLACE: Final = re.compile(r"at (?:(\S+) )?\(?<(?:input|evalScript)>:(\d+)")
_TEXT: Final = re.compile(r" *at <(?:input|evalScript)>:")
_LIMITS: Final = {"out of memory": "limit_memory", "stack overflow": "limit_recursion"}


class JavaScript:
    """One version of a script in JavaScript, compiled in the child: its engine cannot compile without running."""

    entry_point = ""

    def __init__(self, spec: dict[str, Any], source: bytes) -> None:
        self.problems: list[dict[str, Any]] = []
        self._source = source.decode("utf-8", "replace")
        self._memory_bytes: int = spec["memory_bytes"]
        self._describer = JavaScriptDescriber(spec["name"], spec["limit_words"])
        self._printed = Printed()
        self._schemas: Any = spec.get("schemas")
        self._failure: dict[str, Any] | None = None

    def rehearse(self) -> None:
        """Run the loop over a record of no meaning until the interpreter has adapted to it; no tenant code runs."""
        for _ in range(chunk.REHEARSALS):
            chunk.rehearse(Output(memoryview(bytearray(2 * HEADER_BYTES)), records_bytes_max=HEADER_BYTES))

    def park(self, output: Output) -> None:
        """Make the engine and run the script's top level, ahead of the first request."""
        try:
            self._start()
        except MissingEntryPoint as error:
            self._failure = failure("script_entry_point", str(error)) | {"phase": "starting"}
        except quickjs.JSException as error:
            self._failure = self._describer.describe(error) | {"phase": "starting"}
        chunk.rehearse(output)

    def run(self, request: dict[str, Any], given: memoryview, output: Output) -> dict[str, Any]:
        """Run the script over one chunk and return the account of its records."""
        if self._failure:
            return {"error": self._failure, "printed": self._printed.take()}
        self._seed(request["seed"] & 0x7FFF_FFFF)
        account = chunk.Account(request, output)
        self._call(request, given, account)
        return account.reply() | {"printed": self._printed.take()}

    def _start(self) -> None:
        context = quickjs.Context()
        context.set_memory_limit(self._memory_bytes)
        context.set_max_stack_size(_STACK_BYTES)
        context.add_callable("penstock_print", self._print)
        self._seed = context.eval(_PRELUDE)
        context.eval(self._source)
        self._kind = _declared(context)
        self._function = context.eval(_CALL % self._kind)
        self._context = context

    def _print(self, text: str) -> None:
        self._printed.write(f"{text}\n")

    def _call(self, request: dict[str, Any], given: memoryview, account: chunk.Account) -> None:
        lines_of, records = _lines, decode(request["format"], given[: request["input_bytes"]])
        if self._schemas is not None:
            lines_of, records = self._schemas.check_lines(lines_of), self._schemas.check_records(records)
        call = chunk.Call(lambda value: self._function(orjson.dumps(value).decode()), lines_of, self._describer)
        (chunk.run_each if self._kind == "process" else chunk.run_batch)(call, records, account)


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
        first, _, rest = stack.partition("\n")
        if rest and _TEXT.match(first):  # where in the text that the script was parsing
            stack = rest
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


def _lines(result: str) -> tuple[bytes, int]:
    lines = result.encode()
    return lines, lines.count(b"\n")
