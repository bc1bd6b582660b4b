"""`penstock process`, from files to files."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
from collections.abc import Callable
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.journeys.command import Folder, ndjson

RECORDS: list[dict[str, Any]] = [{"n": "1", "word": "one"}, {"n": "2", "word": None}, {"n": "3", "word": 'three, "3"'}]


def as_csv() -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["n", "word"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(RECORDS)
    return text.getvalue().encode()


def as_parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(RECORDS), sink)
    return sink.getvalue()


PLAIN = {
    "in.ndjson": ndjson(*RECORDS),
    "in.json": orjson.dumps(RECORDS),
    "in.csv": as_csv(),
    "in.parquet": as_parquet(),
}
SQUEEZED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("ending", SQUEEZED)
@pytest.mark.parametrize("name", PLAIN)
def test_every_format_is_read_plain_and_compressed(folder: Folder, name: str, ending: str):
    (folder.path / (name + ending)).write_bytes(SQUEEZED[ending](PLAIN[name]))
    folder.penstock("process", "keep.py", name + ending, "-o", "out.ndjson")
    assert folder.records("out.ndjson") == RECORDS


def test_an_archive_gives_the_records_of_its_files_in_order(folder: Folder):
    with tarfile.open(folder.path / "in.tar.gz", "w:gz") as archive:
        for number in range(12):
            member = tarfile.TarInfo(f"day-{number:02}.csv")
            content = f"n\n{number}\n".encode()
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    folder.penstock("process", "keep.py", "in.tar.gz", "-o", "out.ndjson")
    assert [record["n"] for record in folder.records("out.ndjson")] == [str(number) for number in range(12)]


def test_standard_input_and_output_make_a_pipe(folder: Folder):
    done = folder.penstock("process", "keep.py", "-", stdin=gzip.compress(PLAIN["in.ndjson"]))
    assert done.stdout == PLAIN["in.ndjson"]
    assert b"3 records in = 3 gave output + 0 dropped + 0 failed" in done.stderr
    assert folder.names() == ["keep.py"]


def test_files_and_patterns_are_read_in_the_order_given(folder: Folder):
    for name in ("b1", "b2", "a"):
        folder.write(**{f"{name}_ndjson": ndjson({"from": name})})
    folder.penstock("process", "keep.py", "b*.ndjson", "a.ndjson", "-o", "out.ndjson")
    assert [record["from"] for record in folder.records("out.ndjson")] == ["b1", "b2", "a"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_outputs_take_their_format_from_their_ending(folder: Folder, ending: str):
    folder.write(in_ndjson=PLAIN["in.ndjson"])
    folder.penstock("process", "keep.py", "in.ndjson", "-o", f"out.{ending}")
    path = folder.path / f"out.{ending}"
    found: list[dict[str, Any]] = (
        pq.read_table(path).to_pylist() if ending == "parquet" else list(csv.DictReader(path.read_text().splitlines()))
    )
    assert [record["word"] or None for record in found] == [record["word"] for record in RECORDS]


def test_a_bad_record_harms_only_itself_and_says_where_it_is(folder: Folder):
    folder.write(
        half_py="def process(data):\n    data['n'] = 1 // data['n']\n    return data\n",
        in_ndjson=ndjson({"n": 1}, {"n": 0}) + b"{broken\n" + ndjson({"n": 1}),
    )
    done = folder.penstock("process", "half.py", "in.ndjson", "-o", "out.ndjson", "--max-errors", "2")
    assert folder.records("out.ndjson") == [{"n": 1}, {"n": 1}]
    divided, broken = folder.records("out.ndjson.dead-letters.ndjson")
    assert (divided["record"], divided["line"], divided["data"]) == (2, 2, {"n": 0})
    assert (divided["error"]["type"], divided["error"]["script_line"]) == ("ZeroDivisionError", 2)
    assert (broken["record"], broken["line"], broken["raw"]) == (3, 3, "{broken")
    assert b"4 records in = 2 gave output + 0 dropped + 2 failed" in done.stderr


def test_a_record_that_kills_its_process_harms_only_itself(folder: Folder):
    folder.write(
        die_py="import json\nos = json.codecs.sys.modules['os']\n"
        "def process(data):\n    if data['n'] == 5:\n        os._exit(1)\n    return data\n",
        in_ndjson=ndjson(*({"n": n} for n in range(10))),
    )
    folder.penstock("process", "die.py", "in.ndjson", "-o", "out.ndjson")
    assert [record["n"] for record in folder.records("out.ndjson")] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    (letter,) = folder.records("out.ndjson.dead-letters.ndjson")
    assert (letter["data"], letter["error"]["code"]) == ({"n": 5}, "no_result")


@pytest.mark.parametrize("allowed", ["3", "30%"])
def test_too_many_errors_leave_no_output_and_keep_the_dead_letters(folder: Folder, allowed: str):
    folder.write(
        four_py="def process(data):\n    return 1 / 0 if data['n'] < 4 else data\n",
        in_ndjson=ndjson(*({"n": n} for n in range(10))),
        out_ndjson="what was there before\n",
    )
    done = folder.penstock(
        *("process", "four.py", "in.ndjson", "-o", "out.ndjson", "--dead-letters", "bad.ndjson"),
        *("--max-errors", allowed),
        exit_code=2,
    )
    assert (folder.path / "out.ndjson").read_text() == "what was there before\n"
    assert len(folder.records("bad.ndjson")) == 4
    assert b"too_many_errors" in done.stderr
    assert folder.names() == ["bad.ndjson", "four.py", "in.ndjson", "keep.py", "out.ndjson"]


def test_lists_and_none_are_counted_for_what_they_are(folder: Folder):
    folder.write(
        many_py="def process(data):\n    return None if data['n'] == 0 else [data] * data['n']\n",
        in_ndjson=ndjson({"n": 0}, {"n": 1}, {"n": 3}),
    )
    done = folder.penstock("process", "many.py", "in.ndjson", "-o", "out.ndjson", "--json")
    account = orjson.loads(done.stdout)
    names = ("ok", "records", "produced", "dropped", "failed", "rows")
    assert [account[name] for name in names] == [True, 3, 2, 1, 0, 4]


def test_order_is_kept_over_many_chunks(folder: Folder):
    folder.write(in_ndjson=ndjson(*({"n": n} for n in range(2_000))))
    folder.penstock("process", "keep.py", "in.ndjson", "-o", "out.ndjson", "--chunk", "50")
    assert [record["n"] for record in folder.records("out.ndjson")] == list(range(2_000))


def test_the_same_run_gives_the_same_bytes(folder: Folder):
    folder.write(
        draw_py="import random\ndef process(data):\n    return {'drawn': random.random(), 'set': list({'a', 'b'})}\n",
        in_ndjson=ndjson(*({"n": n} for n in range(20))),
    )
    outputs = [folder.penstock("process", "draw.py", "in.ndjson", "--chunk", "5").stdout for _ in range(2)]
    assert outputs[0] == outputs[1]
    drawn = [orjson.loads(line)["drawn"] for line in outputs[0].splitlines()]
    assert len(set(drawn)) == len(drawn)


def test_a_limit_names_itself_its_value_and_the_flag_that_raises_it(folder: Folder):
    folder.write(loop_py="def process(data):\n    while True:\n        pass\n", in_ndjson=ndjson({"n": 1}))
    folder.penstock("process", "loop.py", "in.ndjson", "-o", "out.ndjson", "--cpu", "1", "--max-errors", "1")
    (letter,) = folder.records("out.ndjson.dead-letters.ndjson")
    assert letter["error"]["code"] == "limit_cpu"
    assert "1 s" in letter["error"]["message"]
    assert "--cpu" in letter["error"]["message"]


def test_a_script_prints_to_the_terminal_without_steering_it(folder: Folder):
    folder.write(
        loud_py="def process(data):\n    print('\\x1b[2Jhello')\n    return data\n", in_ndjson=ndjson({"n": 1})
    )
    done = folder.penstock("process", "loud.py", "in.ndjson", "-o", "out.ndjson")
    assert "script: \N{REPLACEMENT CHARACTER}[2Jhello" in done.stderr.decode()


def test_javascript_and_tables_take_the_same_road(folder: Folder):
    folder.write(
        twice_js="function process(data) { data.n = data.n * 2; return data; }\n",
        twice_py="import pyarrow.compute as pc\ndef process_table(table):\n"
        "    return table.set_column(0, 'n', pc.multiply(table['n'], 2))\n",
        in_ndjson=ndjson({"n": 1}, {"n": 2}),
    )
    folder.penstock("process", "twice.js", "in.ndjson", "-o", "js.ndjson")
    folder.penstock("process", "twice.py", "in.ndjson", "-o", "table.ndjson", "--profile", "arrow")
    assert folder.records("js.ndjson") == folder.records("table.ndjson") == [{"n": 2}, {"n": 4}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("process", "nope.py", "in.ndjson"), "nope.py: cannot be read"),
        (("process", "keep.py", "nope.ndjson"), "nope.ndjson names no file"),
        (("process", "keep.py", "."), ". is a folder"),
        (("process", "keep.py", "in.ndjson", "-o", "out.xls"), ".xls names no output format; valid: .ndjson"),
        (("process", "keep.py", "in.ndjson", "--max-errors", "lots"), "'lots' is neither a number of records"),
        (("process", "keep.py", "keep.py"), "keep.py"),
        (("proces",), "No such command"),
    ],
)
def test_a_wrong_word_is_named_with_what_would_be_right(folder: Folder, arguments: tuple[str, ...], words: str):
    folder.write(in_ndjson=ndjson({"n": 1}))
    said = folder.penstock(*arguments, exit_code=2).stderr.decode()
    assert said.startswith("error: ")
    assert words in said
    assert "hint: " in said
