"""A tenant's Python script: compiled in the version zygote, run in its children."""

from __future__ import annotations

import contextlib
import random
import sys
from typing import Any, Final

from penstock_guest import chunk, language, profiles
from penstock_guest.child import Output, OutputFull
from penstock_guest.failures import Describer
from penstock_guest.reading import decode

PRINTED_CHARACTERS_MAX: Final = 4096


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
        sys.stdout = sys.stderr = printed  # type: ignore[assignment]  # the part of a text file that print needs
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
            exec(self._code, namespace)  # noqa: S102  # running a stranger's code is what this process was locked for
            self._function = language.entry_point(namespace)
        return self._function

    def _call(
        self, kind: str, function: Any, request: dict[str, Any], given: memoryview, account: chunk.Account
    ) -> None:
        if kind == "process_table":
            sys.modules["penstock_guest.tables"].run_table(function, request, given, account, self._describer)
            return
        records = decode(request["format"], given[: request["input_bytes"]])
        if kind == "process":
            chunk.run_each(function, records, account, request, self._describer)
        else:
            chunk.run_batch(function, records, account, self._describer)


class Printed:
    """What a script prints: kept up to a bound, then counted; a script has no terminal."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._room = PRINTED_CHARACTERS_MAX

    def write(self, text: str) -> int:
        """Keep as much of the text as there is room for."""
        if self._room > 0:
            self._parts.append(text[: self._room])
            self._room -= len(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: print calls it."""

    def text(self) -> str:
        """Return what was printed."""
        with contextlib.suppress(TypeError):  # a script may have written something that is no text
            return "".join(self._parts)
        return ""
