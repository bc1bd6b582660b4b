"""What went wrong, as data: code, type, words and the script's own line."""

import pytest

from penstock_guest.failures import MESSAGE_CHARACTERS_MAX, Describer, OutputFull, failure

WORDS = {"limit_memory": "the memory limit of 5 MiB was reached; --memory raises it"}


def described(source, **options):
    """What is said of the error that a script lets out."""
    try:
        exec(compile(source, "s.py", "exec"), {})
    except BaseException as error:  # noqa: BLE001  # whatever it is
        return Describer("s.py", WORDS).describe(error, **options)
    pytest.fail("it raised nothing")


def test_an_exception_has_its_type_words_and_line():
    assert described("\nraise KeyError('x')") == {
        "code": "script_error",
        "type": "KeyError",
        "message": "'x'",
        "script_line": 2,
    }


def test_the_line_is_the_innermost_of_the_script():
    source = "import json\ndef f():\n    json.loads('{')\n\nf()"
    assert described(source)["script_line"] == 3


def test_an_error_from_elsewhere_has_no_line():
    with pytest.raises(ValueError, match="x") as caught:
        int("x")
    assert Describer("s.py", {}).describe(caught.value)["script_line"] is None


@pytest.mark.parametrize(
    ("raised", "code"),
    [("MemoryError", "limit_memory"), ("RecursionError", "limit_recursion"), ("Exception", "script_error")],
)
def test_a_limit_has_a_code_of_its_own(raised, code):
    assert described(f"raise {raised}")["code"] == code


def test_a_limit_is_told_in_its_own_words():
    assert described("raise MemoryError('whatever the script says')")["message"] == WORDS["limit_memory"]


def test_an_output_that_is_full_has_no_type():
    described_error = Describer("s.py", {}).describe(OutputFull(5))
    assert (described_error["code"], described_error["type"]) == ("limit_output", None)


def test_a_code_can_be_given():
    assert described("raise TypeError", code="output_invalid")["code"] == "output_invalid"


@pytest.mark.parametrize("length", [MESSAGE_CHARACTERS_MAX - 1, MESSAGE_CHARACTERS_MAX, MESSAGE_CHARACTERS_MAX + 1])
def test_words_are_bounded(length):
    message = described(f"raise ValueError('x' * {length})")["message"]
    assert message == "x" * min(length, MESSAGE_CHARACTERS_MAX)
    assert failure("c", "x" * length)["message"] == message


def test_a_failure_that_no_exception_caused_has_the_same_form():
    assert failure("c", "m", type_name="T", script_line=3) == {
        "code": "c",
        "type": "T",
        "message": "m",
        "script_line": 3,
    }
