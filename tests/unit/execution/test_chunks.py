"""Chunks run many at once, come out in order, and lose only the records that kill."""

import threading

import pytest

from penstock.core.errors import Bug, ScriptFailed
from penstock.core.scripts import ChunkDeath, ChunkResult
from penstock.execution.chunks import chunk_seed, run_chunk, run_in_order
from tests.twins import TwinRunner, chunk_of, counted


def death(record=0, *, code="forbidden_call", phase="records"):
    """The end of a child that one record brought about."""
    return ChunkDeath(code, "the process was stopped", phase, record)


def ran(runner, chunks, *, parallel=2):
    """Run everything and return (chunk, result) in the order they came out."""
    return list(run_in_order(runner, chunks, parallel=parallel, seed="s", emit="ndjson"))


def lines(*results):
    """The output of some results, record by record."""
    return [line for result in results for line in result.output.split()]


def test_order_is_kept_when_the_first_chunk_is_the_slowest():
    chunks = [chunk_of(b"%d" % number) for number in range(8)]
    runner = TwinRunner(pauses_s={b"0": 0.1, b"3": 0.05})
    assert lines(*(result for _, result in ran(runner, chunks, parallel=4))) == [b"%d" % number for number in range(8)]


def test_each_result_comes_with_its_own_chunk():
    chunks = [chunk_of(b"a"), chunk_of(b"b", b"c")]
    assert [(chunk, result.records) for chunk, result in ran(TwinRunner(), chunks)] == [(chunks[0], 1), (chunks[1], 2)]


def test_chunks_run_at_the_same_time():
    runner = TwinRunner(pauses_s={b"0": 0.05, b"1": 0.05, b"2": 0.05})
    ran(runner, [chunk_of(b"%d" % number) for number in range(6)], parallel=3)
    assert runner.running_max == 3


def test_no_more_run_at_once_than_asked_for():
    runner = TwinRunner(pauses_s={b"%d" % number: 0.01 for number in range(8)})
    ran(runner, [chunk_of(b"%d" % number) for number in range(8)], parallel=2)
    assert runner.running_max == 2


@pytest.mark.parametrize("parallel", [1, 3])
def test_no_more_than_twice_as_many_chunks_are_taken_ahead_as_run(parallel):
    """What lies between the chunk taken last and the one given back last is what is in memory."""
    taken = 0

    def note(number):
        nonlocal taken
        taken = number

    given_back, ahead = 0, []
    chunks = counted((chunk_of(b"%d" % number) for number in range(40)), note)
    for _ in run_in_order(TwinRunner(), chunks, parallel=parallel, seed="s", emit="ndjson"):
        ahead.append(taken - given_back)
        given_back += 1
    assert given_back == 40
    assert max(ahead) == (1 if parallel == 1 else 2 * parallel)


def test_no_chunks_give_no_results():
    assert ran(TwinRunner(), []) == []


def test_a_chunk_without_records_needs_no_child():
    """It only carries lines that could not be cut out."""
    runner = TwinRunner()
    [(_, result)] = ran(runner, [chunk_of()])
    assert result == ChunkResult(b"", b"", records=0, produced=0, dropped=0, failed=0, rows=0)
    assert runner.runs == []


def test_a_record_that_kills_its_child_becomes_a_dead_letter_and_the_rest_runs_again():
    runner = TwinRunner(fates={b"b": death(1)})
    result = run_chunk(runner, chunk_of(b"a", b"b", b"c"), seed=1, emit="ndjson")
    assert (lines(result), result.dead_letters) == ([b"a", b"c"], b"b forbidden_call\n")
    assert len(runner.runs) == 2


def test_a_chunk_runs_again_with_the_same_seed():
    runner = TwinRunner(fates={b"b": death(1)})
    run_chunk(runner, chunk_of(b"a", b"b"), seed=7, emit="ndjson")
    assert [seed for _, seed, _ in runner.runs] == [7, 7]


def test_three_records_of_a_chunk_may_kill_their_child():
    runner = TwinRunner(fates={b"a": death(0), b"b": death(1), b"c": death(2)})
    result = run_chunk(runner, chunk_of(b"a", b"b", b"c", b"d"), seed=1, emit="ndjson")
    assert (lines(result), result.failed) == ([b"d"], 3)


def test_with_the_fourth_record_that_kills_its_child_the_chunk_fails():
    """The three keep their own error; each record left gets that of the chunk."""
    runner = TwinRunner(fates={b"%d" % number: death(number) for number in range(4)})
    result = run_chunk(runner, chunk_of(b"0", b"1", b"2", b"3", b"4"), seed=1, emit="ndjson")
    assert (
        result.dead_letters == b"0 forbidden_call\n1 forbidden_call\n2 forbidden_call\n3 chunk_failed\n4 chunk_failed\n"
    )
    assert (lines(result), len(runner.runs)) == ([], 5)


def test_a_death_that_no_record_caused_fails_the_whole_chunk_at_once():
    runner = TwinRunner(fates={b"a": death(code="limit_cpu", phase="whole_chunk")})
    result = run_chunk(runner, chunk_of(b"a", b"b"), seed=1, emit="ndjson")
    assert (result.failed, result.dead_letters) == (2, b"a limit_cpu\nb limit_cpu\n")
    assert len(runner.runs) == 2


@pytest.mark.parametrize("record", [2, 99])
def test_a_child_that_blames_a_record_which_is_not_there_fails_the_chunk(record):
    """The mark of how far it came is untrusted."""
    runner = TwinRunner(fates={b"a": death(record)})
    assert run_chunk(runner, chunk_of(b"a", b"b"), seed=1, emit="ndjson").failed == 2
    assert len(runner.runs) == 2


def test_a_child_that_blames_a_record_which_was_skipped_fails_the_chunk():
    runner = TwinRunner(fates={b"a": death(0), b"b": death(0)})
    assert run_chunk(runner, chunk_of(b"a", b"b", b"c"), seed=1, emit="ndjson").failed == 3


def test_after_a_crash_the_chunk_runs_again_with_care_before_a_record_is_blamed():
    """What crashed it may be an output too large to write, which then is the record's own error."""
    runner = TwinRunner(fates={b"b": death(1, code="crashed")})
    result = run_chunk(runner, chunk_of(b"a", b"b", b"c"), seed=1, emit="ndjson")
    assert (lines(result), result.dead_letters) == ([b"a", b"c"], b"b crashed\n")
    assert runner.careful == [False, True, True]
    assert [list(skipped) for _, _, skipped in runner.runs] == [[], [], [1]]


def test_a_top_level_that_dies_ends_the_run():
    runner = TwinRunner(fates={b"a": ChunkDeath("script_error", "ValueError: x", "starting", 0, script_line=3)})
    with pytest.raises(ScriptFailed, match=r"top level failed at line 3, before any record: ValueError: x"):
        ran(runner, [chunk_of(b"a"), chunk_of(b"b")])


def test_what_dies_though_no_record_is_tried_is_a_bug_and_no_endless_loop():
    class Broken(TwinRunner):
        def run(self, chunk, **_):
            return death(phase="whole_chunk")

    with pytest.raises(Bug, match="dead letters"):
        run_chunk(Broken(), chunk_of(b"a", b"b"), seed=1, emit="ndjson")


def test_an_error_of_the_reader_comes_after_the_chunks_before_it():
    def breaking():
        yield chunk_of(b"a")
        raise RuntimeError("torn")

    results = run_in_order(TwinRunner(), breaking(), parallel=1, seed="s", emit="ndjson")
    with pytest.raises(RuntimeError, match="torn"):
        list(results)


def test_whoever_stops_listening_ends_what_runs():
    """Ctrl-C does not wait for a chunk that may take as long as its wall time."""
    runner = TwinRunner()
    results = run_in_order(runner, (chunk_of(b"%d" % number) for number in range(9)), parallel=2, seed="s", emit="n")
    next(results)
    results.close()
    assert runner.stopped
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("chunk")]


def test_a_run_that_ends_well_is_not_stopped():
    runner = TwinRunner()
    ran(runner, [chunk_of(b"a")])
    assert not runner.stopped


def test_a_chunk_has_the_same_seed_whenever_the_same_run_is_made_again():
    assert chunk_seed("run", 3) == chunk_seed("run", 3)


def test_other_chunks_and_other_runs_have_other_seeds():
    seeds = {chunk_seed(seed, number) for seed in ("a", "b") for number in range(50)}
    assert len(seeds) == 100


def test_chunks_are_numbered_across_inputs_for_their_seeds():
    runner = TwinRunner()
    ran(runner, [chunk_of(b"a"), chunk_of(), chunk_of(b"b")], parallel=1)
    assert [seed for _, seed, _ in runner.runs] == [chunk_seed("s", 0), chunk_seed("s", 2)]
