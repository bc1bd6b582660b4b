"""Tests of a project: the examples of its scripts, and its suites on samples; all of it in locked children."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from penstock.core.access import WorkspaceId
from penstock.core.duckdb_sql import quoted, text
from penstock.core.engines import EngineAnswer, EngineRequest, plain_rows
from penstock.core.errors import ExamplesFailed, PenstockError, ProjectInvalid
from penstock.core.limits import QUERY_ROWS
from penstock.core.ports import Sandbox, TableWrite
from penstock.core.ports.checks import Judgement, Suites
from penstock.core.ports.engines import Engines
from penstock.core.projects import ProjectProblem
from penstock.core.tables import TableName
from penstock.execution.engine_failures import failed
from penstock.execution.table_writes import query_columns
from penstock.project.scripts import FOLDER as SCRIPTS
from penstock.project.scripts import ProjectScript, project_script
from penstock.project.suite_tests import SampleModel, SuiteTest, suite_tests
from penstock.usecases.trials import Trials

_HERE: Final = WorkspaceId("ws_local")
_SAMPLE: Final = "sample"
_LANGUAGES: Final = frozenset([".py", ".js", ".mjs"])


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What became of one test.

    Attributes:
        subject: what is tested: the file of a script or of a suite.
        name: of the example or sample.
        problems: what is otherwise than it should be; each `message`, and `place`, `expected`, `got` where they help.
    """

    __test__ = False  # to pytest, this would look like a class of tests

    subject: str
    name: str
    problems: Sequence[Mapping[str, str]]
    elapsed_s: float

    @property
    def passed(self) -> bool:
        """Whether all is as it should be."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class ProjectTests:
    """Where tests run."""

    sandbox: Sandbox
    engines: Engines
    suites: Suites

    def run(self, files: Mapping[str, bytes], *, only: Sequence[str] = ()) -> Iterator[TestOutcome]:
        """Yield what becomes of each test.

        Args:
            files: of the project.
            only: names of scripts, suites or files of tests; all when there are none.

        Raises:
            ProjectInvalid: when what says the tests is not valid; then none has run.
        """
        scripts, problems = _scripts(files)
        tests, more = suite_tests(files)
        if problems or more:
            raise ProjectInvalid([*problems, *more])
        for script in scripts:
            if _is_meant(only, script.files[0]) and script.examples:
                yield from self._examples(script)
        for test in tests:
            if _is_meant(only, test.file, test.model.suite):
                yield from self._samples(test, files)

    def _examples(self, script: ProjectScript) -> Iterator[TestOutcome]:
        began_s = time.monotonic()
        problems: Sequence[Mapping[str, str]] = ()
        try:
            Trials(self.sandbox).check_examples(script.version, script.examples, workspace=_HERE)
        except ExamplesFailed as error:
            problems = error.problems
        except PenstockError as error:  # it does not compile: then no example does what it should
            problems = [{"place": f"examples.{one.name}", "message": error.message} for one in script.examples]
        each_s = (time.monotonic() - began_s) / len(script.examples)
        for example in script.examples:
            start = f"examples.{example.name}"
            mine = [one for one in problems if one["place"] == start or one["place"].startswith(f"{start}/")]
            shown = [{**one, "place": one["place"].removeprefix(start)} for one in mine]
            yield TestOutcome(script.files[0], example.name, shown, each_s)

    def _samples(self, test: SuiteTest, files: Mapping[str, bytes]) -> Iterator[TestOutcome]:
        suite = self.suites.suite(files[test.model.suite], name=test.model.suite)
        for sample in test.model.samples:
            began_s = time.monotonic()
            try:
                problems = _differences(sample, self._judge(suite, sample, files))
            except PenstockError as error:
                problems = [{"message": error.message}]
            yield TestOutcome(test.model.suite, sample.name, problems, time.monotonic() - began_s)

    def _judge(self, suite: Any, sample: SampleModel, files: Mapping[str, bytes]) -> Judgement:
        with tempfile.TemporaryDirectory(prefix="penstock-test-") as folder:
            name, content = _content(sample, files)
            staging = Path(folder, "staging")
            staging.mkdir(mode=0o700)
            (staging / name).write_bytes(content)
            read = _reader(staging / name, sample)
            request = EngineRequest(
                profile="sql",
                ask={"tables": {_SAMPLE: {"relation": read}}, "readable": [], "ordered": True},
                reads=(),
                writes=str(staging),
            )
            with self.engines.converse(request) as talk:

                def ask(question: Mapping[str, Any]) -> Mapping[str, Any]:
                    ended = talk.ask(question)
                    if isinstance(ended, EngineAnswer):
                        return ended.answer
                    raise failed(ended, "the sample")

                columns = query_columns(ask, f"FROM {_SAMPLE}", TableWrite(TableName("tests.sample"), "append"), ())
                judgement: Judgement = suite.judge(
                    columns.columns,
                    relation=_SAMPLE,
                    execute=lambda sql: plain_rows(
                        ask({"act": "rows", "sql": sql, "rows_max": QUERY_ROWS.value})["rows"]
                    ),
                    now=time.time(),
                    mask=lambda _column, value: value,
                    others={},
                )
                return judgement


def _scripts(files: Mapping[str, bytes]) -> tuple[list[ProjectScript], list[ProjectProblem]]:
    found: list[ProjectScript] = []
    problems: list[ProjectProblem] = []
    names = {PurePosixPath(name).stem for name in files if _is_script(PurePosixPath(name))}
    for name in sorted(names):
        script, wrong = project_script(name, files)
        problems += wrong
        if script is not None:
            found.append(script)
    return found, problems


def _is_script(path: PurePosixPath) -> bool:
    return path.parts[0] == SCRIPTS and len(path.parts) == 2 and path.suffix in _LANGUAGES


def _is_meant(only: Sequence[str], *names: str) -> bool:
    words = {word for name in names for word in (name, PurePosixPath(name).name, PurePosixPath(name).stem)}
    return not only or bool(words & set(only))


def _content(sample: SampleModel, files: Mapping[str, bytes]) -> tuple[str, bytes]:
    if sample.file is not None:
        return f"sample{PurePosixPath(sample.file).suffix}", files[sample.file]
    rows = sample.rows or []
    return "sample.ndjson", "".join(json.dumps(row) + "\n" for row in rows).encode()


def _reader(path: Path, sample: SampleModel) -> str:
    if path.suffix == ".csv":
        return f"SELECT * FROM read_csv({text(str(path))}, header = true)"
    names = dict.fromkeys(name for row in sample.rows or () for name in row)
    empty = [name for name in names if all(row.get(name) is None for row in sample.rows or ())]
    cast = ", ".join(f"CAST({quoted(name)} AS VARCHAR) AS {quoted(name)}" for name in empty)  # or it had no type
    picked = f"* REPLACE ({cast})" if empty else "*"
    return f"SELECT {picked} FROM read_json({text(str(path))}, format = 'newline_delimited')"


def _differences(sample: SampleModel, judgement: Judgement) -> list[dict[str, str]]:
    """Return where the verdicts are otherwise than the sample says; rows of a test are nobody's, and may be shown."""
    problems = []
    wanted = list(sample.fails)
    for verdict in judgement.verdicts:
        if verdict["success"]:
            continue
        config = verdict["expectation_config"]
        names = _names(config)
        met = next((word for word in wanted if re.sub(r"\s", "", word) in names), None)
        if met is None:
            problems.append({"message": f"{names[-1]} is not met", "got": _found(verdict)})
        else:
            wanted.remove(met)
    problems += [{"message": f"{word} is met, and was not to be"} for word in wanted]
    return problems


def _names(config: Mapping[str, Any]) -> list[str]:
    kwargs = config.get("kwargs") or {}
    columns = [kwargs[name] for name in ("column", "column_A", "column_B") if kwargs.get(name)]
    columns += kwargs.get("column_list") or []
    return [str(config["type"]), f"{config['type']}({','.join(map(str, columns))})"]


def _found(verdict: Mapping[str, Any]) -> str:
    result = verdict.get("result") or {}
    if exception := (verdict.get("exception_info") or {}).get("exception_message"):
        return str(exception)
    shown = result.get("partial_unexpected_list") or result.get("observed_value")
    return json.dumps(shown, default=str, ensure_ascii=False)[:200]
