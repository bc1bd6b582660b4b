"""The task kind `script`, with everything it reaches held in memory."""

import dataclasses

import pytest

from penstock.core.errors import OutputFailed, ScriptFailed, TooManyErrors
from penstock.core.processing import ErrorBudget, ScriptSpec
from penstock.core.scripts import Cause, ChunkDeath, ScriptVersion
from penstock.execution.context import Context
from penstock.tasks.script import ScriptTask
from tests.twins import TwinFiles, TwinProgress, TwinRunner, TwinSandbox, chunk_of

DEFAULT = "out.dead-letters.ndjson"
SPEC = ScriptSpec(
    script=ScriptVersion("s.py", b"", "python", "std"),
    inputs=("a", "b"),
    input_format=None,
    output="out",
    output_format="ndjson",
    dead_letters=None,
    dead_letters_default=DEFAULT,
    errors_max=ErrorBudget(records=100),
)


class Scene:
    """A task's surroundings, and what is seen of it from there."""

    def __init__(self, *, inputs=None, **runner):
        self.runner = TwinRunner(**runner)
        chunks = inputs or {"a": [chunk_of(b"1", b"2"), chunk_of(b"3")], "b": [chunk_of(b"4")]}
        self.sandbox = TwinSandbox(self.runner, chunks)
        self.files = TwinFiles({name: sum(len(chunk.payload) for chunk in chunks[name]) for name in chunks})
        self.progress = TwinProgress()

    def run(self, **changes):
        """Run the task; however it ends, no output is left open."""
        context = Context(self.sandbox, self.files, self.progress, parallel=2)
        try:
            return ScriptTask().run(dataclasses.replace(SPEC, **changes), context)
        finally:
            assert self.files.open_outputs == 0


def test_the_output_is_that_of_every_chunk_of_every_input_in_order():
    scene = Scene()
    scene.run()
    assert scene.files.committed == {"out": b"1\n2\n3\n4\n"}


def test_every_record_is_accounted_for():
    scene = Scene(fates={b"2": "drop", b"3": "fail"})
    report = scene.run()
    assert (report.records, report.produced, report.dropped, report.failed) == (4, 2, 1, 1)
    assert (report.rows, report.chunks, report.output, report.output_bytes) == (2, 3, "out", 4)


def test_dead_letters_go_beside_the_output_when_there_are_any():
    scene = Scene(fates={b"3": "fail"})
    report = scene.run()
    assert (report.dead_letters, scene.files.committed[DEFAULT]) == (DEFAULT, b"3 script_error\n")


def test_no_file_of_dead_letters_appears_when_there_are_none():
    scene = Scene()
    report = scene.run()
    assert (report.dead_letters, list(scene.files.committed)) == (None, ["out"])


def test_a_file_of_dead_letters_that_was_asked_for_is_there_though_it_is_empty():
    scene = Scene()
    report = scene.run(dead_letters="bad")
    assert (report.dead_letters, scene.files.committed["bad"]) == ("bad", b"")


def test_records_that_could_not_be_cut_out_come_before_those_that_failed_in_their_chunk():
    chunk = dataclasses.replace(
        chunk_of(b"1"), unreadable=(Cause("csv_record_invalid", None, None, 2),), dead_letters=b"lost\nlost\n"
    )
    scene = Scene(inputs={"a": [chunk]}, fates={b"1": "fail"})
    report = scene.run(inputs=("a",))
    assert scene.files.committed[DEFAULT] == b"lost\nlost\n1 script_error\n"
    assert (report.records, report.failed) == (3, 3)
    assert report.causes["csv_record_invalid", None, None] == 2


def test_more_errors_than_allowed_leave_the_dead_letters_and_no_output():
    scene = Scene(fates={b"2": "fail", b"3": "fail"})
    with pytest.raises(TooManyErrors) as caught:
        scene.run(errors_max=ErrorBudget(records=1))
    assert scene.files.committed == {DEFAULT: b"2 script_error\n3 script_error\n"}
    assert caught.value.report.failed == 2
    assert caught.value.report.dead_letters == DEFAULT
    assert caught.value.message == "2 of 3 records failed; at most 1 may. There is no output"
    assert DEFAULT in caught.value.hint


def test_a_share_of_few_records_is_judged_at_the_end():
    scene = Scene(fates={b"1": "fail", b"2": "fail"})
    with pytest.raises(TooManyErrors) as caught:
        scene.run(errors_max=ErrorBudget(share=0.4))
    assert caught.value.report.records == 4


def test_a_run_stops_early_when_a_share_of_many_is_exceeded():
    chunks = [chunk_of(*(b"%d" % number for number in range(600))) for _ in range(50)]
    scene = Scene(inputs={"a": chunks}, fates={b"%d" % number: "fail" for number in range(300)})
    with pytest.raises(TooManyErrors) as caught:
        scene.run(inputs=("a",), errors_max=ErrorBudget(share=0.1))
    assert caught.value.report.records == 1200
    assert len(scene.runner.runs) < 10
    assert scene.runner.stopped


def test_exactly_as_many_errors_as_allowed_are_fine():
    scene = Scene(fates={b"2": "fail"})
    assert scene.run(errors_max=ErrorBudget(share=0.25)).failed == 1


def test_a_top_level_that_fails_leaves_nothing():
    scene = Scene(fates={b"1": ChunkDeath("script_error", "ValueError: x", "starting", 0)})
    with pytest.raises(ScriptFailed):
        scene.run(dead_letters="bad")
    assert scene.files.committed == {}


def test_whoever_stops_a_run_finds_nothing_half_done():
    class Stopping(TwinProgress):
        def advance(self, *, records, read_bytes):
            raise KeyboardInterrupt

    scene = Scene(fates={b"1": "fail"})
    scene.progress = Stopping()
    with pytest.raises(KeyboardInterrupt):
        scene.run()
    assert scene.files.committed == {}
    assert scene.progress.heard[-1] == ("end",)
    assert scene.runner.stopped


@pytest.mark.parametrize("output_format", ["csv", "parquet"])
def test_another_format_is_made_from_the_records(output_format):
    scene = Scene(inputs={"a": [chunk_of(b"a", b"b")]})
    report = scene.run(inputs=("a",), output_format=output_format)
    assert scene.sandbox.converted == [(b"a\nb\n", "ndjson", output_format)]
    assert scene.files.committed == {"out": b"A\nB\n"}
    assert report.output_bytes == 4


def test_an_output_that_cannot_be_converted_leaves_nothing():
    scene = Scene()
    scene.sandbox.convert_fails = OutputFailed("no", hint="Try.")
    with pytest.raises(OutputFailed):
        scene.run(output_format="csv")
    assert scene.files.committed == {}


@pytest.mark.parametrize(
    ("entry_point", "output_format", "spool_format"),
    [
        ("process", "parquet", "ndjson"),
        ("process_batch", "parquet", "ndjson"),
        ("process_table", "parquet", "arrow"),
        ("process_table", "csv", "ndjson"),
    ],
)
def test_tables_stay_tables_where_they_can(entry_point, output_format, spool_format):
    scene = Scene(entry_point=entry_point)
    scene.run(output_format=output_format)
    assert scene.sandbox.converted[0][1] == spool_format


@pytest.mark.parametrize(("entry_point", "as_arrow"), [("process", False), ("process_table", True)])
def test_inputs_are_read_as_the_function_takes_them(entry_point, as_arrow):
    scene = Scene(entry_point=entry_point)
    scene.run(chunk_records=7)
    assert scene.sandbox.opened == [("a", 7, as_arrow), ("b", 7, as_arrow)]


def test_standard_output_gets_the_records_too():
    scene = Scene()
    report = scene.run(output=None)
    assert (scene.files.committed, report.output) == ({None: b"1\n2\n3\n4\n"}, None)


def test_progress_hears_of_every_chunk_and_of_the_end():
    """Bytes count on over the inputs."""
    scene = Scene()
    scene.run()
    assert scene.progress.heard == [
        ("begin", 8),
        ("advance", 2, 4),
        ("advance", 1, 6),
        ("advance", 1, 8),
        ("end",),
    ]


def test_progress_hears_what_a_script_prints():
    scene = Scene(inputs={"a": [chunk_of(b"1")]}, printed="hello\n")
    scene.run(inputs=("a",))
    assert ("printed", "hello\n") in scene.progress.heard


def test_members_that_were_left_out_are_in_the_report():
    scene = Scene()
    scene.sandbox.left_out = [("README.txt", "it is text")]
    assert scene.run().skipped == [("a", "README.txt", "it is text"), ("b", "README.txt", "it is text")]


def test_seeds_follow_from_the_script_and_the_inputs():
    def seeds(**changes):
        scene = Scene()
        scene.run(**changes)
        return sorted(seed for _, seed, _ in scene.runner.runs)

    again, other = seeds(), seeds(script=dataclasses.replace(SPEC.script, source=b"other"))
    assert seeds() == again
    assert not set(again) & set(other)
    assert seeds(output="elsewhere") == again
