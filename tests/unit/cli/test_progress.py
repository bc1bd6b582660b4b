"""Long work shows how far it has come: a line every ten seconds in a log."""

import pytest

from penstock.cli.progress import LogProgress, Printing, TerminalProgress, choose_progress
from penstock.core import limits


class Clock:
    """A clock that a test moves."""

    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def said(capsys):
    """The lines on standard error; there is nothing on standard output."""
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def advance(progress, clock, *, seconds, records=1000, read_bytes=0):
    """Time goes by, then a chunk is done."""
    clock.now_s += seconds
    progress.advance(records=records, read_bytes=read_bytes)


def test_nothing_is_said_before_ten_seconds(clock, capsys):
    progress = LogProgress(clock)
    progress.begin(100)
    for _ in range(9):
        advance(progress, clock, seconds=1)
    assert said(capsys) == []


def test_a_line_says_records_rate_share_and_time_left(clock, capsys):
    progress = LogProgress(clock)
    progress.begin(4000)
    advance(progress, clock, seconds=10, records=50_000, read_bytes=1000)
    assert said(capsys) == ["50,000 records, 5,000/s, 25% read, about 30 s left"]


def test_a_line_without_a_known_size_says_what_it_can(clock, capsys):
    progress = LogProgress(clock)
    progress.begin(None)
    advance(progress, clock, seconds=20, records=1, read_bytes=1000)
    assert said(capsys) == ["1 record, 0/s"]


def test_the_next_line_comes_ten_seconds_after_the_last(clock, capsys):
    progress = LogProgress(clock)
    progress.begin(None)
    for _ in range(60):
        advance(progress, clock, seconds=1)
    assert [line.split(",")[0] for line in said(capsys)] == ["10", "20", "30", "40", "50", "60"]


def test_a_file_that_grows_while_it_is_read_is_never_more_than_read(clock, capsys):
    progress = LogProgress(clock)
    progress.begin(1000)
    advance(progress, clock, seconds=10, read_bytes=3000)
    assert said(capsys)[0].endswith("100% read, about 0.0 s left")


def test_what_a_script_prints_is_shown_without_its_control_characters(capsys):
    LogProgress().printed("hello \x1b[31mred\x07\nline two\n")
    assert said(capsys) == [
        "script: hello \N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}",
        "script: line two",
    ]


def test_no_more_than_the_first_lines_that_a_script_prints_are_shown(capsys):
    printing = Printing()
    for number in range(200):
        printing.show(f"line {number}\n")
    lines = said(capsys)
    assert len(lines) == limits.PRINTED_LINES.value + 1
    assert lines[-1] == "script: (more is printed, and not shown)"


def test_a_log_gets_lines_and_a_terminal_a_bar(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert isinstance(choose_progress(), TerminalProgress)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    assert isinstance(choose_progress(), LogProgress)


@pytest.mark.parametrize("total_bytes", [None, 0, 1000])
def test_a_bar_can_be_ended_whenever_it_was_begun(total_bytes, capsys):
    """Also twice, and before the first chunk."""
    bar = TerminalProgress()
    bar.end()
    bar.begin(total_bytes)
    bar.advance(records=1, read_bytes=500)
    bar.printed("hello")
    bar.end()
    bar.end()
    assert "script: hello" in "".join(said(capsys))
