"""Inputs are found by path and pattern; outputs appear whole or not at all."""

import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.core.errors import InputNotFound, OutputFailed
from penstock.storage.files import LocalFiles

FILES = LocalFiles()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with some files."""
    for name in ("b.csv", "a.csv", "c.ndjson", "a[1].csv", "deep/d.csv", "deep/er/e.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "folder.csv").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["b.csv"], ["b.csv"]),
        (["b.csv", "a.csv"], ["b.csv", "a.csv"]),
        (["*.csv"], ["a.csv", "a[1].csv", "b.csv"]),
        (["c.ndjson", "[ab].csv"], ["c.ndjson", "a.csv", "b.csv"]),
        (["a[1].csv"], ["a[1].csv"]),
        (["deep/**/*.csv"], ["deep/d.csv", "deep/er/e.csv"]),
        (["-"], ["-"]),
        (["a.csv", "a.csv"], ["a.csv", "a.csv"]),
    ],
)
def test_inputs_come_in_the_order_of_the_arguments_and_sorted_within_a_pattern(folder, patterns, found):
    assert FILES.find(patterns) == found


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("missing.csv", "missing.csv names no file"),
        ("*.txt", "*.txt names no file"),
        ("deep", "deep is a folder"),
        ("deep/", "deep/ is a folder"),
        ("", " names no file"),
    ],
)
def test_what_names_no_file_is_named(folder, pattern, words):
    with pytest.raises(InputNotFound) as caught:
        FILES.find(["a.csv", pattern])
    assert caught.value.message == words
    assert caught.value.hint


def test_a_hint_names_the_files_in_the_folder(folder):
    with pytest.raises(InputNotFound) as caught:
        FILES.find(["deep/"])
    assert "'deep/*.csv'" in caught.value.hint


def test_a_pipe_is_an_input(folder):
    os.mkfifo("pipe.csv")
    assert FILES.find(["pipe.csv"]) == ["pipe.csv"]


def test_a_link_to_a_file_is_an_input(folder):
    Path("link.csv").symlink_to("b.csv")
    assert FILES.find(["link.csv"]) == ["link.csv"]


def test_sizes_add_up(folder):
    assert FILES.size_bytes(["a.csv", "c.ndjson"]) == len("a.csv" + "c.ndjson")


def test_the_size_of_a_stream_is_not_known(folder):
    os.mkfifo("pipe.csv")
    assert FILES.size_bytes(["a.csv", "-"]) is None
    assert FILES.size_bytes(["a.csv", "pipe.csv"]) is None


def test_an_input_is_opened_for_reading(folder):
    with FILES.open("b.csv", data_format="csv") as file:
        assert (os.read(file.fd, 99), file.name, file.size_bytes, file.format) == (b"b.csv", "b.csv", 5, "csv")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file.fd)


def test_an_input_is_not_handed_to_programs_that_are_started(folder):
    with FILES.open("b.csv", data_format=None) as file:
        assert not os.get_inheritable(file.fd)


def test_an_input_that_went_away_is_named(folder):
    with (
        pytest.raises(InputNotFound, match=r"gone\.csv: cannot be opened: No such file"),
        FILES.open("gone.csv", data_format=None),
    ):
        pass


def test_closed_standard_input_is_said(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputNotFound, match="standard input is closed"), FILES.open("-", data_format=None):
        pass


def names():
    """The files here, hidden ones too."""
    return sorted(os.listdir())


def test_nothing_appears_before_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = FILES.create("out.ndjson")
    output.write(b"x" * 3_000_000)
    assert "out.ndjson" not in names()
    output.commit()
    assert names() == ["out.ndjson"]
    assert Path("out.ndjson").read_bytes() == b"x" * 3_000_000
    assert output.size_bytes == 3_000_000


def test_what_is_discarded_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = FILES.create("out.ndjson")
    output.write(b"half")
    output.discard()
    output.discard()
    assert names() == []


def test_what_fails_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("out.ndjson").write_text("old")
    output = FILES.create("out.ndjson")
    with pytest.raises(KeyboardInterrupt), output:
        raise KeyboardInterrupt
    assert names() == ["out.ndjson"]
    assert Path("out.ndjson").read_text() == "old"


def test_commit_replaces_the_old_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("out.ndjson").write_text("old and longer")
    with FILES.create("out.ndjson") as output:
        output.write(b"new")
        output.commit()
    assert Path("out.ndjson").read_text() == "new"


def test_a_discard_after_a_commit_keeps_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with FILES.create("out.ndjson") as output:
        output.write(b"new")
        output.commit()
        output.discard()
    assert names() == ["out.ndjson"]


def test_a_spool_has_all_that_was_written(tmp_path):
    with FILES.create(str(tmp_path / "out.csv")) as output:
        output.write(b"one")
        assert os.pread(output.spool_fd(), 99, 0) == b"one"
        output.write(b"two")
        assert os.pread(output.spool_fd(), 99, 0) == b"onetwo"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_an_output_has_the_permissions_of_any_new_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with FILES.create(str(tmp_path / "out.ndjson")) as output:
            output.commit()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.ndjson").stat().st_mode) == mode


def test_half_an_output_can_be_read_by_its_owner_only(tmp_path):
    with FILES.create(str(tmp_path / "out.ndjson")) as output:
        output.write(b"secret")
        [half] = tmp_path.iterdir()
        assert stat.S_IMODE(half.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("path", "words", "hint"),
    [
        (
            "no/such/out.ndjson",
            "no/such/out.ndjson: cannot be written: No such file or directory",
            "Make the folder no/such",
        ),
        ("b.csv/out.ndjson", "b.csv/out.ndjson: cannot be written: Not a directory", "Make the folder b.csv"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_named(folder, path, words, hint):
    with pytest.raises(OutputFailed) as caught:
        FILES.create(path)
    assert caught.value.message == words
    assert caught.value.hint.startswith(hint)


def test_a_folder_in_the_place_of_the_output_is_said_and_kept(folder):
    output = FILES.create("folder.csv")
    with pytest.raises(OutputFailed, match=r"folder\.csv: cannot be written: Is a directory"):
        output.commit()
    output.discard()
    assert Path("folder.csv").is_dir()
    assert not [name for name in names() if name.endswith(".part")]


FILLING = """
import resource, signal, sys
from penstock.core.errors import OutputFailed
from penstock.storage.files import LocalFiles
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with LocalFiles().create("out.ndjson") as output:
        {write}
        output.commit()
except OutputFailed as error:
    print(error.message)
"""


@pytest.mark.parametrize(
    "write", ["output.write(b'x' * 9_000_000)", "output.write(b'x' * 500_000)"], ids=["write", "flush"]
)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, write):
    """The limit of a file's size fails as a full disk does, wherever the buffer happens to be emptied."""
    (tmp_path / "out.ndjson").write_text("old")
    command = [sys.executable, "-c", FILLING.format(write=write)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "out.ndjson: cannot be written: File too large\n"
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["out.ndjson"]
    assert (tmp_path / "out.ndjson").read_text() == "old"


def test_the_way_to_fill_a_disk_is_there():
    """What the test above relies on."""
    assert resource.RLIMIT_FSIZE
    assert signal.SIGXFSZ


PRINTING = """
from penstock.storage.files import LocalFiles
with LocalFiles().create(None) as output:
    output.write(b"first\\n")
    {then}
"""


@pytest.mark.parametrize(("then", "printed"), [("output.commit()", "first\n"), ("output.discard()", ""), ("1 / 0", "")])
def test_standard_output_too_gets_all_or_nothing(tmp_path, then, printed):
    command = [sys.executable, "-c", PRINTING.format(then=then)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == printed
    assert list(tmp_path.iterdir()) == []


def test_a_reader_of_standard_output_may_have_seen_enough(tmp_path):
    """As `| head` has: that is no error, and Python does not complain when it ends."""
    program = PRINTING.format(then="output.write(b'x' * 10_000_000); output.commit()")  # more than any pipe holds
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as done:
        assert done.stdout is not None
        assert done.stderr is not None
        assert done.stdout.readline() == b"first\n"
        done.stdout.close()
        assert (done.stderr.read(), done.wait(timeout=30)) == (b"", 0)


def test_closed_standard_output_is_said(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(OutputFailed, match="standard output is closed"):
        FILES.create(None)
