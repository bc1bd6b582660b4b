"""What supervisor and runner say to each other arrives as it was said."""

import pytest

from penstock.core.access import Policy, WorkspaceId
from penstock.core.errors import Bug
from penstock.core.jobs import AttemptReport, BlobPointer, Entry, EntryId, JobInput, Lane, Lease
from penstock.core.plan import RunId
from penstock.core.scripts import ScriptLimits, ScriptVersion
from penstock.core.work import Assignment, Message, Piece
from penstock.worker import messages

LEASE = Lease(
    Entry(EntryId("att_1"), WorkspaceId("ws_1"), Lane("scr_1"), RunId("job_1"), "script", "join", 3, reason="busy"),
    7,
    "wrk_1",
    1.5,
    3.5,
)
POINTER = BlobPointer("ws_1/x", 3, "00")
SCRIPT = ScriptVersion(
    "s.py",
    b"def process(d): pass\n",
    "python",
    "arrow",
    "warm",
    ScriptLimits(wall_s=0.5),
    '{"type": "object"}',
    None,
    "version",
)
ASSIGNMENT = Assignment(
    lease=LEASE,
    prefix="ws_1/jobs/job_1/",
    input=JobInput(POINTER, "a.csv", None, "gzip"),
    output_format="parquet",
    errors_max="7",
    chunk_records=5,
    version_id="h",
    script=SCRIPT,
    small={"db:a": b"\x00\xff", "db:b": b"", "db:c": b"xyz"},
    piece=Piece(1, POINTER),
    pieces=(Piece(0, POINTER, {"records": 1}, POINTER, None), Piece(1, POINTER)),
    skipped=(("a.tar", "m", "why"),),
    room_bytes=5,
    message=Message("msg_1", "https://host/x", b'{"type":"job"}', b"\x01secret", Policy(("10.0.0.0/8",))),
)
REPORT = AttemptReport(
    "failed",
    report={"records": 1, "causes": [{"code": "x"}]},
    output=POINTER,
    error={"code": "bug", "message": "m", "hint": "h"},
    killed=True,
    cpu_s=0.25,
    small={"db:r": b"result", "db:d": b"\n"},
)


def read(*frames, step=None):
    """The frames of a stream that arrives in pieces."""
    stream, cutter = b"".join(frames), messages.Frames()
    step = step or len(stream)
    return [each for start in range(0, len(stream), step) for each in cutter.feed(stream[start : start + step])]


@pytest.mark.parametrize("step", [1, 7, None])
def test_an_assignment_arrives_as_it_was_sent(step):
    (script_header, source), (header, tail) = read(
        messages.script_frame(ASSIGNMENT, SCRIPT), messages.run_frame(ASSIGNMENT), step=step
    )
    script = messages.read_script(script_header, source)
    assert script == SCRIPT
    assert messages.read_assignment(header, tail, script) == ASSIGNMENT


def test_an_assignment_without_extras_arrives_too():
    bare = Assignment(LEASE, "p/", JobInput(POINTER))
    ((header, tail),) = read(messages.run_frame(bare))
    assert messages.read_assignment(header, tail, None) == bare


def test_a_report_arrives_as_it_was_sent():
    ((header, tail),) = read(messages.end_frame(LEASE, REPORT, started_at=1.0, finished_at=2.0))
    assert messages.read_report(header, tail) == REPORT
    assert (header["id"], header["token"], header["started_at"], header["finished_at"]) == ("att_1", 7, 1.0, 2.0)


def test_what_is_not_complete_waits():
    frame = messages.alive_frame({}, [])
    cutter = messages.Frames()
    assert list(cutter.feed(frame[:-1])) == []
    assert list(cutter.feed(frame[-1:])) == [({"say": "alive", "late": {}, "done": []}, b"")]


def test_a_frame_longer_than_any_is_refused_before_it_is_read():
    with pytest.raises(Bug):
        list(messages.Frames().feed(b"\xff" * 8))
