"""Words on the command line become values, or an error that says what is valid."""

import click
import pytest
from click.testing import CliRunner

from penstock.cli.options import ErrorBudgetType, script_argument, script_options
from penstock.core.processing import ErrorBudget


@pytest.fixture
def parse(tmp_path):
    """Parse words after a script, and return the script version that a command would get, or the error."""
    (tmp_path / "s.py").write_text("def process(data): ...")
    (tmp_path / "s.js").write_text("function process(data) {}")
    given = []

    @click.command
    @script_argument
    @script_options
    def command(*, script):
        given.append(script)

    def parse_words(*words, script="s.py"):
        done = CliRunner().invoke(command, [str(tmp_path / script), *words])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return given.pop() if done.exit_code == 0 else done.output

    return parse_words


@pytest.mark.parametrize(
    ("word", "budget"),
    [
        ("0", ErrorBudget(records=0)),
        ("100", ErrorBudget(records=100)),
        ("0%", ErrorBudget(share=0)),
        ("10%", ErrorBudget(share=0.1)),
        ("0.5%", ErrorBudget(share=0.005)),
        ("100%", ErrorBudget(share=1)),
    ],
)
def test_an_error_budget_is_a_number_or_a_share(word, budget):
    assert ErrorBudgetType().convert(word, None, None) == budget


@pytest.mark.parametrize(
    "word", ["", "%", "-1", "-1%", "101%", "nan%", "inf%", "1.5", "ten", "10 percent", "1e3", "５%"]
)
def test_anything_else_is_refused_with_what_is_valid(word):
    with pytest.raises(
        click.BadParameter, match=r"neither a number of records, such as 100, nor a share of 0% to 100%"
    ):
        ErrorBudgetType().convert(word, None, None)


def test_a_script_has_sane_limits_unless_told_otherwise(parse):
    limits = parse().limits
    assert (limits.wall_s, limits.cpu_s, limits.recursion) == (60, 30, 1000)
    assert (limits.memory_bytes, limits.output_bytes) == (512 * 2**20, 256 * 2**20)


def test_every_limit_has_its_flag(parse):
    words = "--wall 1.5 --cpu 2 --memory 100 --output-size 3 --recursion 500".split()
    limits = parse(*words).limits
    assert (limits.wall_s, limits.cpu_s, limits.recursion) == (1.5, 2, 500)
    assert (limits.memory_bytes, limits.output_bytes) == (100 * 2**20, 3 * 2**20)


@pytest.mark.parametrize(
    "words",
    [
        "--wall 0",
        "--wall -1",
        "--wall inf",
        "--wall nan",
        "--wall 1e300",
        "--cpu 0",
        "--cpu 1.5",
        "--cpu 999999999",
        "--memory 1",
        "--memory 99999999999999",
        "--output-size 0",
        "--output-size 5000",
        "--recursion 10",
        "--recursion 99999999999",
        "--wall soon",
        "--profile java",
    ],
)
def test_a_limit_outside_its_range_is_a_usage_error(parse, words):
    flag, value = words.split()
    said = parse(flag, value)
    assert isinstance(said, str), f"{value} was taken"
    assert f"Invalid value for '{flag}'" in said


@pytest.mark.parametrize(
    ("script", "words", "language", "profile"),
    [
        ("s.py", (), "python", "std"),
        ("s.py", ("--profile", "arrow"), "python", "arrow"),
        ("s.js", (), "javascript", "js"),
        ("s.js", ("--profile", "js"), "javascript", "js"),
    ],
)
def test_the_ending_of_a_script_tells_its_language(parse, script, words, language, profile):
    given = parse(*words, script=script)
    assert (given.language, given.profile, given.name) == (language, profile, script)


def test_a_script_is_isolated_unless_warm_was_asked_for(parse):
    assert (parse().tier, parse("--warm").tier) == ("isolated", "warm")
