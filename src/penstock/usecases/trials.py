"""Running a script version at once, on a few records: for trying it out, for its examples, and for comparing two texts.

All of it happens in the sandbox, as a job's work does, with the version's own limits or these tighter ones: somebody
waits for the answer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from penstock.base.hashing import fingerprint
from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import ExamplesFailed, RequestInvalid, ScriptRejected, TooLarge, TooMany
from penstock.core.jobs import Counts
from penstock.core.ports import Sandbox, ScriptRunner
from penstock.core.scripts import Cause, Chunk, ChunkResult, InputFile, ScriptLimits, ScriptVersion
from penstock.core.versions import Example
from penstock.execution.chunks import chunk_seed, run_chunk

_MIB: Final = 2**20
_PATIENCE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of some records.

    Attributes:
        output: NDJSON, as the script's child gave it.
        dead_letters: NDJSON, likewise.
        printed: what the script printed, the first of it.
        elapsed_s: by the clock, reading the sample included.
    """

    output: bytes
    dead_letters: bytes
    counts: Counts
    causes: tuple[Cause, ...]
    printed: str
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A few records to try a version on.

    Attributes:
        format: `ndjson`, `json` or `csv`.
    """

    data: bytes
    format: str = "ndjson"
    name: str = "sample"


@dataclass(frozen=True, slots=True)
class Trials:
    """Where trials run: a few at once beside the requests of everybody, and one of each workspace."""

    sandbox: Sandbox
    _busy: set[WorkspaceId] = field(default_factory=set, compare=False)
    _change: threading.Condition = field(default_factory=threading.Condition, compare=False)

    def run(self, script: ScriptVersion, sample: Sample, *, workspace: WorkspaceId) -> Trial:
        """Return what a script makes of a sample.

        Raises:
            TooLarge: when the sample is.
            TooMany: when others are being tried.
            ScriptRejected: when the script cannot be compiled.
            ScriptFailed: when its top level fails.
            InputUnreadable: when the sample is not what its format says.
        """
        if len(sample.data) > limits.TRY_BYTES.value * _MIB:
            raise _too_large(f"{len(sample.data):,} bytes", f"{limits.TRY_BYTES.value} MiB")
        with self._seat(workspace), self.sandbox.open_script(_bounded(script), parallel=1) as runner:
            return _run(self.sandbox, runner, sample)

    def check_examples(self, script: ScriptVersion, examples: Sequence[Example], *, workspace: WorkspaceId) -> None:
        """Return when a script compiles and does what every example says.

        Raises:
            ScriptRejected: with every problem, when it does not compile.
            ExamplesFailed: with every difference.
        """
        with self._seat(workspace):
            if problems := self.sandbox.check(script):
                place = ":".join(str(part) for part in (script.name, problems[0]["script_line"]) if part)
                raise ScriptRejected(
                    f"{place}: {problems[0]['message']}", hint=str(problems[0]["hint"]), problems=problems
                )
            if not examples:
                return
            deadline_s = time.monotonic() + limits.PUBLISH_WALL.value
            failed: list[dict[str, str]] = []
            with (
                self.sandbox.open_script(_bounded(script), parallel=1) as runner,
                self.sandbox.open_script(_JUDGE, parallel=1) as judge,
            ):
                for example in examples:
                    if time.monotonic() > deadline_s:
                        failed.append({"place": f"examples.{example.name}", "message": _SLOW})
                        break
                    failed += _problems(self.sandbox, runner, judge, example)
        if failed:
            names = list(dict.fromkeys(problem["place"].split("/")[0].removeprefix("examples.") for problem in failed))
            raise ExamplesFailed(
                f"{script.name} does not do what its examples say: {', '.join(names[:10])}",
                hint="Look at the differences; correct the script or the example, then publish again.",
                problems=failed[: limits.CAUSES.value],
            )

    def compare(self, before: bytes, after: bytes, *, names: tuple[str, str], workspace: WorkspaceId) -> str:
        """Return the unified diff of two texts, made where no text can harm anybody.

        Raises:
            RequestInvalid: when they differ in more ways than can be found in time.
        """
        texts = [data.decode("utf-8", "replace") for data in (before, after)]
        sample = Sample(json.dumps({"texts": texts, "names": names}).encode() + b"\n")
        with self._seat(workspace), self.sandbox.open_script(_DIFF, parallel=1) as runner:
            trial = _run(self.sandbox, runner, sample)
        if trial.counts.failed:
            raise RequestInvalid(
                f"{names[0]} and {names[1]} are too long and too different to be compared",
                hint="Fetch the code of both, and compare it where you are.",
            )
        diff: str = json.loads(trial.output)["diff"]
        return diff

    @contextlib.contextmanager
    def _seat(self, workspace: WorkspaceId) -> Iterator[None]:
        with self._change:
            if not self._change.wait_for(lambda: self._has_room(workspace), timeout=_PATIENCE_S):
                who = "this workspace" if workspace in self._busy else f"{limits.TRIES.value} others"
                what = f"versions of {who} are being tried, published or compared now"
                raise TooMany(what, hint="Try again.", retry_after_s=_PATIENCE_S)
            self._busy.add(workspace)
        try:
            yield
        finally:
            with self._change:
                self._busy.remove(workspace)
                self._change.notify_all()

    def _has_room(self, workspace: WorkspaceId) -> bool:
        return workspace not in self._busy and len(self._busy) < limits.TRIES.value


_SLOW: Final = f"the examples take longer than {limits.PUBLISH_WALL.value} s together"
_DIFF: Final = ScriptVersion(
    name="diff",
    source=b"""
import difflib

NO_END = "\\n\\\\ No newline at end of file\\n"

def process(data):
    before, after = (text.splitlines(keepends=True) for text in data["texts"])
    lines = difflib.unified_diff(before, after, *data["names"])
    return {"diff": "".join(line if line.endswith("\\n") else line + NO_END for line in lines)}
""",
    language="python",
    profile="std",
    limits=ScriptLimits(wall_s=limits.TRY_WALL.value, cpu_s=10),
)


def _bounded(script: ScriptVersion) -> ScriptVersion:
    bounds = dataclasses.replace(
        script.limits,
        wall_s=min(script.limits.wall_s, limits.TRY_WALL.value),
        output_bytes=min(script.limits.output_bytes, limits.TRY_OUTPUT.value * _MIB),
    )
    return dataclasses.replace(script, limits=bounds)


def _run(sandbox: Sandbox, runner: ScriptRunner, sample: Sample) -> Trial:
    started_s = time.monotonic()
    as_arrow = runner.entry_point == "process_table"
    with tempfile.TemporaryFile() as file:
        file.write(sample.data)
        file.flush()
        source = InputFile(sample.name, file.fileno(), len(sample.data), sample.format)
        with sandbox.open_input(source, chunk_records=limits.TRY_RECORDS.value, as_arrow=as_arrow) as reader:
            chunks = list(itertools.islice(reader, 2))
    if len(chunks) > 1:
        raise _too_large("more records", f"{limits.TRY_RECORDS.value:,}")
    chunk = chunks[0] if chunks else Chunk(sample.name, "ndjson", b"", 0, ())
    result = run_chunk(runner, chunk, seed=chunk_seed(fingerprint(sample), 0), emit="ndjson")
    return _trial(chunk, result, elapsed_s=time.monotonic() - started_s)


def _trial(chunk: Chunk, result: ChunkResult, *, elapsed_s: float) -> Trial:
    counts = Counts(
        records=result.records + chunk.unreadable_records,
        produced=result.produced,
        dropped=result.dropped,
        failed=result.failed + chunk.unreadable_records,
        rows=result.rows,
    )
    return Trial(
        result.output,
        chunk.dead_letters + result.dead_letters,
        counts,
        chunk.unreadable + result.causes,
        printed=result.printed,
        elapsed_s=elapsed_s,
    )


def _too_large(what: str, most: str) -> TooLarge:
    return TooLarge(f"the sample has {what}; at most {most} can be tried at once", hint="Try fewer, or submit a job.")


def _problems(sandbox: Sandbox, runner: ScriptRunner, judge: ScriptRunner, example: Example) -> list[dict[str, str]]:
    """Return how what comes out differs from what the example says; one entry for each place."""
    lines = b"".join(json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in example.input)
    trial = _run(sandbox, runner, Sample(lines, name=example.name))
    counts, place = trial.counts, f"examples.{example.name}"
    codes = ", ".join(sorted({cause.code for cause in trial.causes})) or "no error"
    if example.error is not None:
        if counts.failed == counts.records and codes == example.error:
            return []
        words = f"every record was to fail with {example.error}; {counts.failed} of {counts.records} failed: {codes}"
        return [{"place": place, "message": words, "expected": example.error, "got": codes}]
    found = _judge(sandbox, judge, example, trial)
    if counts.failed:
        words = f"{counts.failed} of {counts.records} records failed: {codes}"
        return [{"place": place, "message": words, "expected": "no error", "got": found["error"]}]
    return [
        {"place": place + pointer, "message": "the output differs", "expected": expected, "got": got}
        for pointer, expected, got in found["places"]
    ]


def _judge(sandbox: Sandbox, judge: ScriptRunner, example: Example, trial: Trial) -> dict[str, Any]:
    """Return where an output differs, found by our own script in a child: the service does not parse what came out."""
    case = {
        "expected": list(example.output or ()),
        "output": trial.output.decode("utf-8", "replace"),
        "dead_letters": trial.dead_letters.decode("utf-8", "replace"),
    }
    judged = _run(sandbox, judge, Sample(json.dumps(case).encode() + b"\n", "ndjson", "comparison"))
    if judged.counts.produced != 1:
        return {"places": [("", "JSON that can be compared", "something else")], "error": "an error without a text"}
    found: dict[str, Any] = json.loads(judged.output)
    return found


_JUDGE: Final = ScriptVersion(
    name="judge",
    source=b"""
import json
from itertools import islice

NOTHING = object()

def process(data):
    got = [json.loads(line) for line in data["output"].splitlines()]
    letters = data["dead_letters"].splitlines()
    found = islice(unequal(data["expected"], got, ""), 5)
    places = [(place, shown(expected), shown(other)) for place, expected, other in found]
    return {"places": places, "error": described(json.loads(letters[0])["error"]) if letters else ""}

def unequal(expected, got, pointer):
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in sorted(expected.keys() | got.keys()):
            place = pointer + "/" + key.replace("~", "~0").replace("/", "~1")
            yield from unequal(expected.get(key, NOTHING), got.get(key, NOTHING), place)
    elif isinstance(expected, list) and isinstance(got, list):
        for index in range(max(len(expected), len(got))):
            pair = [values[index] if index < len(values) else NOTHING for values in (expected, got)]
            yield from unequal(*pair, pointer + "/" + str(index))
    elif expected != got or isinstance(expected, bool) != isinstance(got, bool):  # to Python, true is 1
        yield pointer, expected, got

def shown(value):
    text = "nothing" if value is NOTHING else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:200] + " ..."

def described(error):
    kind = error["type"] + ": " if error["type"] else ""
    line = " (line " + str(error["script_line"]) + ")" if error["script_line"] else ""
    return (error["code"] + ": " + kind + error["message"] + line)[:200]
""",
    language="python",
    profile="std",
    limits=ScriptLimits(wall_s=limits.TRY_WALL.value, cpu_s=10),
)
