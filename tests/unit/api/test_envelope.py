"""The envelope of a request is split off its records, which stay the bytes they are."""

import pytest

from penstock.api.envelope import as_lines


@pytest.mark.parametrize(
    ("records", "lines"),
    [
        (b'[{"a": 1}, {"a": [1, {"b": "},{"}]}]', b'{"a": 1}\n{"a": [1, {"b": "},{"}]}\n'),
        (b'{"a": 1}', b'{"a": 1}\n'),
        (b'[ {"a":\n1}\r\n,\n{"b": "\\n"} ]', b'{"a": 1}\n{"b": "\\n"}\n'),
        (b"[]", None),
        (b"[1, 2]", None),
        (b'[{"a": 1}, 2]', None),
        (b'[{"a": 1},]', None),
        (b'[{"a": 1} {"b": 2}]', None),
    ],
)
def test_records_become_lines_when_all_of_them_are_objects(records, lines):
    assert as_lines(records) == lines
