"""Scripts in real children: what comes out, and what a chunk that cannot be tried costs."""

from tests.trying import errors_of, result_of

DIED = {"code": "crashed", "type": None, "message": "x", "script_line": None}


def test_a_whole_chunk_can_be_left_untried(sandbox):
    """Its errors are one, not ten thousand: they would not fit into the message to the child."""
    result = result_of(
        sandbox, "def process(data): return data", 10_000, rest={**DIED, "code": "chunk_failed"}, skip={3: DIED}
    )
    codes = [error["code"] for error in errors_of(result)]
    assert (codes[3], codes.count("chunk_failed"), result.output) == ("crashed", 9_999, b"")
