"""A tenant's Python script: compiled in the version zygote, run in its children."""

from __future__ import annotations

import random
import sys
from typing import Any, Final

from orjson import dumps, loads

from penstock_guest import chunk, language, profiles
from penstock_guest.child import Output
from penstock_guest.chunk import Account, Call, as_lines, run_batch, run_each
from penstock_guest.failures import Describer
from penstock_guest.printed import Printed
from penstock_guest.reading import decode
from penstock_guest.room import with_room
from penstock_guest.wire import HEADER_BYTES

# A script whose text has none of these draws no random numbers. To seed them takes twice as long as a small record.
_DRAWING: Final = (b"random", b"statistics", b"uuid")


class PythonScript:
    """One version of a script. Its top level runs in the child, once for each chunk (isolated) or once (warm)."""

    def __init__(self, spec: dict[str, Any], source: bytes) -> None:
        self._name: str = spec["name"]
        self._describer = Describer(self._name, spec["limit_words"])
        allowed = profiles.ALLOWED[spec["profile"]]
        self.problems = language.problems(source, name=self._name, allowed=allowed)
        self._schemas: Any = spec.get("schemas")
        self._builtins = language.guarded_builtins([*allowed, *profiles.LATE])
        self._draws = any(word in source for word in _DRAWING)
        self._failure: dict[str, Any] | None = None
        self._printed, self._silence = Printed(), Printed()
        lines_of = as_lines if self._schemas is None else self._schemas.check_lines(as_lines)
        self._call = Call(lambda record: record, lines_of, self._describer)
        self.entry_point = "" if self.problems else language.declared_entry_point(source)
        if not self.problems:
            self._code = compile(source, self._name, "exec", dont_inherit=True)
        sys.setrecursionlimit(spec["recursion"])
        self._seed(0)  # for the top level, which runs before there is a chunk
        random.seed(0)  # a top level that draws numbers draws the same ones in every child

    def rehearse(self) -> None:
        """Run a record of no meaning until the interpreter has adapted to it; no tenant code runs."""
        sys.stdout = sys.stderr = self._printed
        for _ in range(chunk.REHEARSALS):
            self._rehearse(Output(memoryview(bytearray(2 * HEADER_BYTES)), records_bytes_max=HEADER_BYTES))

    def _rehearse(self, output: Output) -> None:
        """Walk through all that a request will need but the script's function, so that its pages are touched."""
        if self._schemas is not None or self.entry_point == "process_table":
            chunk.rehearse(output)
            return
        real = self._call, self._failure, self._printed
        self._call, self._failure, self._printed = chunk.SAME, None, self._silence
        loads(dumps(self.run(chunk.REHEARSAL, chunk.REHEARSED, output)))
        self._call, self._failure, self._printed = real
        output.reset()

    def park(self, output: Output) -> None:
        """Run the script's top level, and walk once through all that a request will need, ahead of it."""
        try:
            namespace = {"__name__": "script", "__builtins__": self._builtins}
            exec(self._code, namespace)  # a stranger's code: what this process was locked for
            function: Any = namespace[self.entry_point]
            self._call.function = function
        except BaseException as error:  # noqa: BLE001  # the script's top level is tenant code
            self._failure = self._describer.describe(error) | {"phase": "starting"}
        self._rehearse(output)

    def run(self, request: dict[str, Any], given: memoryview, output: Output) -> dict[str, Any]:
        """Run the script over one chunk and return the account of its records."""
        if self._failure:
            return {"error": self._failure, "printed": self._printed.take()}
        if self._draws:
            self._seed(request["seed"])
        account = Account(request, output)
        self._run_chunk(request, given, account)
        reply = account.reply()
        reply["printed"] = self._printed.take()
        return reply

    def _seed(self, seed: int) -> None:
        random.seed(seed)
        numpy_random = sys.modules.get("numpy.random")  # loaded where the profile has numpy
        if numpy_random is not None:
            numpy_random.seed(seed & 0xFFFF_FFFF)

    def _run_chunk(self, request: dict[str, Any], given: memoryview, account: Account) -> None:
        call, payload = self._call, given[: request["input_bytes"]]
        if self.entry_point == "process_table":
            tables = sys.modules["penstock_guest.tables"]  # loaded where the profile has pyarrow
            call = Call(call.function, tables.encoder(request["emit"], self._schemas), self._describer)
            tables.run_table(call, payload, request, account, self._schemas)
            return
        if request["careful"]:
            call = Call(call.function, with_room(call.lines_of), self._describer)
        records = decode(request["format"], payload)
        if self._schemas is not None:
            records = self._schemas.check_records(records)
        (run_each if self.entry_point == "process" else run_batch)(call, records, account)
