"""Whether a value can be written as JSON in the memory that is left.

orjson takes up to eight bytes for each of a text's before it looks at it, in a buffer that grows by doubling, and
crashes where that cannot be had. To look for long texts costs more than to write most records, so it is only done once
a chunk has crashed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

_LONG: Final = 2**16  # shorter texts need no room worth asking for
_PARTS_MAX: Final = 1_000_000  # of one value; what holds itself has no end
_BYTES_EACH: Final = 8  # source: format_escaped_str in orjson's src/serialize/writer


def with_room(lines_of: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the same encoder, which raises MemoryError where orjson would crash."""

    def lines(result: Any) -> Any:
        require_room(result)
        return lines_of(result)

    return lines


def require_room(value: Any) -> None:
    """Make sure that there is memory to write a value.

    Raises:
        MemoryError: when there is not.
    """
    before_bytes = 0
    for size_bytes in _long_texts(value):
        needed_bytes = before_bytes + _BYTES_EACH * size_bytes
        bytearray(1 << needed_bytes.bit_length())
        before_bytes += size_bytes


def _long_texts(value: Any) -> Iterator[int]:
    """Yield the size of each long text in plain values, however deep."""
    waiting = [value]
    for _ in range(_PARTS_MAX):
        if not waiting:
            return
        part = waiting.pop()
        if isinstance(part, str | bytes | bytearray):
            if len(part) >= _LONG:
                yield len(part)
        elif isinstance(part, dict):
            waiting += part.keys()
            waiting += part.values()
        elif isinstance(part, list | tuple):
            waiting += part
