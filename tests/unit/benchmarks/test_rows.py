"""Each benchmark works; what it measures is for `make bench` to say."""

import dataclasses
import json

import pytest

from benchmarks import rendering, rows
from benchmarks.figures import Figure, Noise, Row
from benchmarks.machine import describe
from benchmarks.running import run


@pytest.mark.parametrize("name", rows.discover())
def test_a_benchmark_measures_and_shows_its_row(name, capsys):
    (row,) = run([name], quick=True)
    rendering.show(describe(), [row])
    shown = capsys.readouterr().out
    assert all(figure.value >= 0 and figure.unit for figure in row.figures)
    assert row.title.split()[0] in shown
    assert json.loads(rendering.as_json(describe(), [row]))["rows"][0]["name"] == name


def test_an_aim_is_reached_from_the_right_side():
    assert Figure("faster", 50.0, "x", at_least=50.0).reached
    assert not Figure("slower", 1.31, "x", at_most=1.3).reached
    assert Figure("reported", 1.0, "ms").reached is None


def test_the_page_keeps_what_was_written_by_hand(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Above\n" + rendering.BEGIN + "old\n" + rendering.END + "Below\n")
    rendering.write_baseline(page, {"kernel": "Linux"}, [])
    assert page.read_text().startswith("# Above\n")
    assert "old" not in page.read_text()
    assert page.read_text().endswith("Below\n")


def test_rows_that_are_not_measured_again_stay_as_they_were(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Above\n" + rendering.BEGIN + rendering.END + "Below\n")
    noise = Noise(0.1, 0.2, 0.0)
    rows = [
        Row(name, f"the {name}", f"How {name} is measured.", (Figure("rate", value, "/s"),), noise, 1.0)
        for name, value in (("first", 10.0), ("second", 20.0), ("third", 30.0))
    ]
    order = [row.title for row in rows]
    rendering.write_baseline(page, {"date": "yesterday"}, rows[:2], order=order)
    again = dataclasses.replace(rows[1], figures=(Figure("rate", 99.0, "/s"),))
    rendering.write_baseline(page, {"date": "today"}, [rows[2], again], order=order)
    text = page.read_text()
    rates = [line.split("|")[2].strip() for line in text.splitlines() if line.startswith("| rate")]
    assert rates == ["10 /s", "99 /s", "30 /s"]
    assert "**the first** | | | | *yesterday, load" in text
    assert "**the second** | | | | *today, load" in text
    assert text.count("**the first.** How first is measured.") == 1
