"""A tenant's Python script: compiled in the version zygote, run in its children."""

from __future__ import annotations

import random
import sys
from typing import Any

from penstock_guest import chunk, language, profiles
from penstock_guest.child import Output, OutputFull
from penstock_guest.failures import Describer
from penstock_guest.printed import Printed
from penstock_guest.reading import decode


class PythonScript:
    """One version of a script. Its top level runs in the child, once for each chunk (isolated) or once (warm)."""

    def __init__(self, spec: dict[str, Any], source: bytes) -> None:
        self._name: str = spec["name"]
        self._describer = Describer(self._name, spec["limit_words"])
        allowed = profiles.ALLOWED[spec["profile"]]
        self.problems = language.problems(source, name=self._name, allowed=allowed)
        self._builtins = language.guarded_builtins([*allowed, *profiles.LATE])
        self._function: tuple[str, Any] | None = None
        self.entry_point = "" if self.problems else language.declared_entry_point(source)
        if not self.problems:
            self._code = compile(source, self._name, "exec", dont_inherit=True)
        sys.setrecursionlimit(spec["recursion"])

    def run(self, request: dict[str, Any], given: memoryview, output: Output) -> dict[str, Any]:
        """Run the script over one chunk and return the account of its records."""
        printed = Printed()
        sys.stdout = sys.stderr = printed
        random.seed(request["seed"])
        account = chunk.Account(request, output)
        try:
            kind, function = self._entry_point()
        except BaseException as error:  # noqa: BLE001  # the script's top level is tenant code
            return {"error": self._describer.describe(error) | {"phase": "starting"}, "printed": printed.text()}
        try:
            self._call(kind, function, request, given, account)
            return account.reply() | {"printed": printed.text()}
        except OutputFull:
            return {
                "error": self._describer.limit("limit_output") | {"phase": "whole_chunk"},
                "printed": printed.text(),
            }

    def _entry_point(self) -> tuple[str, Any]:
        if self._function is None:
            namespace = {"__name__": "script", "__builtins__": self._builtins}
            exec(self._code, namespace)  # a stranger's code: what this process was locked for
            self._function = language.entry_point(namespace)
        return self._function

    def _call(
        self, kind: str, function: Any, request: dict[str, Any], given: memoryview, account: chunk.Account
    ) -> None:
        payload = given[: request["input_bytes"]]
        if kind == "process_table":
            tables = sys.modules["penstock_guest.tables"]  # loaded where the profile has pyarrow
            tables.run_table(
                chunk.Call(function, tables.encoder(request["emit"]), self._describer), payload, request, account
            )
            return
        records = decode(request["format"], payload)
        call = chunk.Call(function, chunk.as_lines, self._describer)
        (chunk.run_each if kind == "process" else chunk.run_batch)(call, records, account)
