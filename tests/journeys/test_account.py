"""Every record is accounted for, in words and as JSON, and so is every error."""

from __future__ import annotations

import io
import tarfile

import orjson
import pytest

from tests.journeys.command import Folder, ndjson

MIXED = """def process(data):
    if data["n"] % 4 == 0: raise ValueError(data["n"])
    return None if data["n"] % 4 == 1 else data
"""


@pytest.fixture
def mixed(folder: Folder) -> Folder:
    """Twelve records, of which three fail, three are dropped, six stay."""
    folder.write(mixed_py=MIXED, in_ndjson=ndjson(*({"n": n} for n in range(12))))
    return folder


def test_the_closing_lines_account_for_every_record_and_every_cause(mixed: Folder):
    done = mixed.penstock("process", "mixed.py", "in.ndjson", "-o", "out.ndjson", "--max-errors", "3")
    account, written, cause, letters = done.stderr.decode().splitlines()
    assert account.startswith("12 records in = 6 gave output + 3 dropped + 3 failed (")
    assert written == f"6 records written to out.ndjson ({(mixed.path / 'out.ndjson').stat().st_size} B)"
    assert cause == "  3 failed: ValueError at line 2 of the script [script_error]"
    assert letters == "failed records and their errors: out.ndjson.dead-letters.ndjson"


def test_the_account_never_shows_what_is_in_a_record(folder: Folder):
    folder.write(fail_py="def process(data):\n    raise ValueError(data['name'])\n", in_ndjson=ndjson({"name": "Ada"}))
    done = folder.penstock("process", "fail.py", "in.ndjson", "-o", "out.ndjson", "--max-errors", "1", "--json")
    assert b"Ada" not in done.stdout + done.stderr


def test_programs_get_the_account_as_json(mixed: Folder):
    done = mixed.penstock("process", "mixed.py", "in.ndjson", "-o", "out.ndjson", "--max-errors", "3", "--json")
    account = orjson.loads(done.stdout)
    assert account.pop("elapsed_s") > 0
    assert account == {
        "ok": True,
        "records": 12,
        "produced": 6,
        "dropped": 3,
        "failed": 3,
        "rows": 6,
        "chunks": 1,
        "output": "out.ndjson",
        "output_bytes": (mixed.path / "out.ndjson").stat().st_size,
        "dead_letters": "out.ndjson.dead-letters.ndjson",
        "causes": [{"code": "script_error", "type": "ValueError", "script_line": 2, "records": 3}],
        "left_out": [],
    }


def test_an_error_is_in_the_json_too(mixed: Folder):
    done = mixed.penstock(
        "process", "mixed.py", "in.ndjson", "-o", "out.ndjson", "--max-errors", "2", "--json", exit_code=2
    )
    account = orjson.loads(done.stdout)
    assert (account["ok"], account["failed"], account["error"]["code"]) == (False, 3, "too_many_errors")
    assert account["error"]["retry"] is False
    assert done.stderr.startswith(b"error: 3 of 12 records failed; at most 2 may. There is no output [too_many_errors]")


def test_records_on_standard_output_leave_the_json_to_standard_error(mixed: Folder):
    done = mixed.penstock("process", "mixed.py", "in.ndjson", "--max-errors", "3", "--json")
    assert [orjson.loads(line)["n"] for line in done.stdout.splitlines()] == [2, 3, 6, 7, 10, 11]
    assert orjson.loads(done.stderr)["produced"] == 6
    assert "penstock.dead-letters.ndjson" in mixed.names()


def test_members_that_hold_no_data_are_named(folder: Folder):
    with tarfile.open(folder.path / "in.tar", "w") as archive:
        for name, content in (("README.md", b"hello"), ("a.ndjson", b'{"n":1}\n')):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    done = folder.penstock("process", "keep.py", "in.tar", "-o", "out.ndjson")
    assert b"  left out: README.md in in.tar: its name has none of the endings" in done.stderr


def test_only_the_first_of_many_left_out_are_named(folder: Folder):
    with tarfile.open(folder.path / "in.tar", "w") as archive:
        for number in range(30):
            archive.addfile(tarfile.TarInfo(f"{number}.txt"), io.BytesIO())
        archive.addfile(tarfile.TarInfo("a.ndjson"), io.BytesIO())
    said = folder.penstock("process", "keep.py", "in.tar", "-o", "out.ndjson").stderr.decode()
    assert said.count("  left out: ") == 11
    assert "  left out: 20 more; --json names them all" in said


def test_a_dead_letter_says_everything_about_its_record(folder: Folder):
    folder.write(
        in_csv='id,price\n1,2\n2,"many\nlines"\n3,x\n',
        price_py="def process(data):\n    return {'p': int(data['price'])}\n",
    )
    folder.penstock("process", "price.py", "in.csv", "-o", "out.ndjson", "--max-errors", "2")
    first, second = folder.records("out.ndjson.dead-letters.ndjson")
    assert first == {
        "input": "in.csv",
        "member": None,
        "record": 2,
        "line": 3,
        "error": {
            "code": "script_error",
            "type": "ValueError",
            "message": "invalid literal for int() with base 10: 'many\\nlines'",
            "script_line": 2,
        },
        "data": {"id": "2", "price": "many\nlines"},
    }
    assert (second["record"], second["line"]) == (3, 5)


def test_dead_letters_can_be_processed_again(folder: Folder):
    """They are NDJSON like anything else: mend the script, and run it over what was left."""
    folder.write(
        strict_py="def process(data):\n    return {'n': 1 // data['n']}\n",
        mended_py="def process(letter):\n    return letter['data']\n",
        in_ndjson=ndjson({"n": 1}, {"n": 0}),
    )
    folder.penstock(
        "process", "strict.py", "in.ndjson", "-o", "out.ndjson", "--dead-letters", "bad.ndjson", "--max-errors", "1"
    )
    folder.penstock("process", "mended.py", "bad.ndjson", "-o", "again.ndjson")
    assert folder.records("again.ndjson") == [{"n": 0}]


def test_the_output_may_take_the_place_of_the_input(folder: Folder):
    folder.write(in_ndjson=ndjson({"n": 1}), more_py="def process(data):\n    return {'n': data['n'] + 1}\n")
    folder.penstock("process", "more.py", "in.ndjson", "-o", "in.ndjson")
    assert folder.records("in.ndjson") == [{"n": 2}]


def test_a_script_that_fails_at_its_top_ends_the_run_at_once(folder: Folder):
    folder.write(
        top_py="import json\njson.loads('{')\ndef process(data):\n    return data\n", in_ndjson=ndjson({"n": 1})
    )
    done = folder.penstock("process", "top.py", "in.ndjson", "-o", "out.ndjson", exit_code=2)
    assert b"top level failed at line 2, before any record: JSONDecodeError" in done.stderr
    assert folder.names() == ["in.ndjson", "keep.py", "top.py"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("in.json", b'[{"n": 1}, {"n"', b"in.json: "),
        ("in.ndjson.gz", b"no gzip", b"expected gzip, as its name says"),
        ("in.data", b"x", b"in.data: the ending of the name tells no format"),
    ],
)
def test_an_input_that_cannot_be_read_ends_the_run_without_output(
    folder: Folder, name: str, content: bytes, words: bytes
):
    (folder.path / name).write_bytes(content)
    done = folder.penstock("process", "keep.py", name, "-o", "out.ndjson", exit_code=2)
    assert words in done.stderr
    assert b"[input_unreadable]" in done.stderr
    assert folder.names() == [name, "keep.py"]
