"""From the raw bytes of one input to blocks: opens what is compressed or archived, and cuts what is inside."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final

import orjson

from penstock_guest.reading.blocks import Block, Cutter, Source
from penstock_guest.reading.csv_records import cut_csv
from penstock_guest.reading.decompression import PIECE_BYTES, gunzip, unbrotli, unzstd
from penstock_guest.reading.errors import InputError
from penstock_guest.reading.json_values import JsonCutter
from penstock_guest.reading.letters import records_of_letters
from penstock_guest.reading.lines import LineCutter, scan_ndjson
from penstock_guest.reading.names import FIRST_BYTES, FORMATS, VALID, Format, Layer, kind_of, layer_of
from penstock_guest.reading.packing import Packer
from penstock_guest.reading.tar import Archive
from penstock_guest.reading.window import Window

RECORDS_MAX: Final = 10_000
BYTES_MAX: Final = 16 * 2**20
STANDARD_INPUT: Final = "-"
_NESTING_MAX: Final = 3
_MAC_PREFIX: Final = "._"  # where macOS keeps the attributes of the file beside it
_UNDO: Final[dict[Layer, Callable[[Iterator[bytes]], Iterator[bytes]]]] = {"gzip": gunzip, "zstd": unzstd}
_WRAPPERS: Final = (*_UNDO, "tar")
# Brotli has no first bytes to know it by: only who sends it can say so.
_ENCODINGS: Final[dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]]] = {
    "br": unbrotli,
    "gzip": gunzip,
    "zstd": unzstd,
}


def read_blocks(
    source: Source,
    *,
    name: str,
    format: Format | None = None,  # noqa: A002  # the word of the glossary
    encoding: str = "identity",
    records_max: int = RECORDS_MAX,
    bytes_max: int = BYTES_MAX,
    as_arrow: bool = False,
    columns: Sequence[Any] | None = None,
) -> Iterator[Block]:
    """Yield the records of an input in blocks, in order and in flat memory.

    Args:
        source: its raw bytes.
        name: its file name, which tells what it is; "-" for standard input, which its first bytes tell.
        format: what it is, whatever its name says; compression and archives are still undone.
        encoding: how the bytes were compressed on their way here, whatever the name says of the file.
        records_max: most records of a block; each has as many, but for the last of a run of files that fit together.
        bytes_max: most bytes of a block's payload. A record that is larger is a failure.
        as_arrow: Parquet becomes Arrow IPC streams instead of NDJSON; text stays text.
        columns: of the table that a Parquet file is of, whose rows then have exactly these; see `shaping`.

    Raises:
        InputError: when the input is not what it should be, or is damaged; the blocks before are good.
    """
    packer = Packer(records_max=records_max, bytes_max=bytes_max)
    bounds: dict[str, Any] = {"records_max": records_max, "bytes_max": bytes_max}
    files = _Files(source, packer, format, partial(_cutter, **bounds, as_arrow=as_arrow, columns=columns))
    try:
        for cutter in files.cutters(name, _ENCODINGS.get(encoding)):
            yield from packer.pack(files.member, cutter)
    except InputError as error:
        error.member = error.member or files.member
        raise
    yield from packer.rest()


class _Files:
    """The files in an input: one, or the members of an archive.

    Attributes:
        member: the member being read, None outside an archive.
    """

    def __init__(
        self,
        source: Source,
        packer: Packer,
        format: Format | None,  # noqa: A002  # as above
        cutter: Callable[[Layer, Iterator[bytes], memoryview | None], Cutter],
    ) -> None:
        self.member: str | None = None
        self._source = source
        self._packer = packer
        self._format = format
        self._cutter = cutter

    def cutters(self, name: str, undo: Callable[[Iterator[bytes]], Iterator[bytes]] | None = None) -> Iterator[Cutter]:
        """Yield a cutter for each file; use it up before going on."""
        pieces = _pieces(self._source)
        return self._open(name, undo(pieces)) if undo else self._open(name, pieces, self._source.buffer)

    def _open(
        self, name: str, pieces: Iterator[bytes], whole: memoryview | None = None, *, nesting: int = 0
    ) -> Iterator[Cutter]:
        first, pieces = _peek(pieces)
        layer, inner_name = self._layer(name, kind_of(first))
        if layer is None and self.member:
            self._packer.skip(self.member, f"its name has none of the endings {VALID}")
        elif layer is None:
            raise _unknown()
        elif layer == "tar" and self.member and nesting >= _NESTING_MAX:
            self._packer.skip(self.member, f"it is an archive inside {_NESTING_MAX} others")
        elif layer in _UNDO:
            _expect(layer, first)
            yield from self._open(inner_name, _UNDO[layer](pieces), nesting=nesting)
        elif layer == "tar":
            yield from self._open_archive(pieces, nesting=nesting)
        else:
            _expect(layer, first)
            yield self._cutter(layer, pieces, whole)

    def _layer(self, name: str, kind: str | None) -> tuple[Layer | None, str]:
        """Return what to undo or cut next, by the name, the format asked for, and last by the first bytes."""
        by_name, inner_name = layer_of(name)
        if by_name in _WRAPPERS:
            return by_name, inner_name
        if self._format == "dead-letters":
            return "dead-letters", name  # whatever they are called
        asked = self._format if by_name is None or not self.member else None
        if kind in _WRAPPERS and (asked or name == STANDARD_INPUT):
            return kind, name
        if name == STANDARD_INPUT and not asked:
            return ("parquet" if kind == "parquet" else "json"), name
        return asked or by_name, name

    def _open_archive(self, pieces: Iterator[bytes], *, nesting: int) -> Iterator[Cutter]:
        archive, outer, opened = Archive(pieces), self.member, 0
        for member in archive.members():
            self.member = member.name if outer is None else f"{outer}/{member.name}"
            if member.name.rpartition("/")[2].startswith(_MAC_PREFIX):
                continue
            if member.obstacle:
                self._packer.skip(self.member, f"it is {member.obstacle}")
                continue
            for cutter in self._open(member.name, archive.content(), nesting=nesting + 1):
                opened += 1
                yield cutter
        self.member = outer
        if not opened:
            raise InputError(
                "input_empty_archive", "the archive holds no file that can be read", hint=f"Valid are {VALID}."
            )


def _cutter(
    layer: Layer,
    pieces: Iterator[bytes],
    whole: memoryview | None,
    *,
    records_max: int,
    bytes_max: int,
    as_arrow: bool,
    columns: Sequence[Any] | None = None,
) -> Cutter:
    """Return what cuts a file of one format."""
    if layer == "parquet":
        # Not imported here: it needs Arrow, which only one profile loads, and nothing can be imported behind the lock.
        module = sys.modules.get("penstock_guest.reading.parquet")
        if module is None:
            raise InputError("input_needs_arrow", "Parquet is read under the profile arrow only")
        buffer = b"".join(pieces) if whole is None else whole
        cutter: Cutter = module.cut_parquet(
            buffer, records_max=records_max, bytes_max=bytes_max, as_arrow=as_arrow, columns=columns
        )
        return cutter
    if layer == "dead-letters":
        pieces = records_of_letters(pieces, bytes_max=bytes_max)
    window = Window(pieces)
    if layer == "csv":
        return cut_csv(window, bytes_max=bytes_max)
    if layer == "json" and not _has_lines(window):
        return JsonCutter(window, bytes_max=bytes_max)
    return LineCutter(window, scan_ndjson, record_bytes_max=bytes_max)


def _has_lines(window: Window) -> bool:
    """Return whether a .json file is NDJSON: one of its first two lines is a whole object, or the file is empty.

    Raises:
        InputError: when it is no JSON at all.
    """
    text = window.text.lstrip()
    if text and text[0] not in b"{[":
        raise InputError(
            "json_invalid",
            "expected JSON, '{' or '[', found other text",
            offset_bytes=0,
            hint="Name its format: --input-format csv",
        )
    return not text or any(line.startswith(b"{") and _is_json(line) for line in text.split(b"\n", 2)[:2])


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _pieces(source: Source) -> Iterator[bytes]:
    while piece := source.read(PIECE_BYTES):
        yield bytes(piece)


def _peek(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes, and all pieces, them included."""
    held = b""
    while len(held) < FIRST_BYTES and (piece := next(pieces, None)) is not None:
        held += piece
    return held[:FIRST_BYTES], chain((held,), pieces)


def _expect(layer: Layer, first: bytes) -> None:
    kind = kind_of(first)
    if kind == layer or not first or (kind is None and layer in ("ndjson", "json", "csv", "dead-letters")):
        return
    message = f"expected {layer}, as its name says, found {kind or 'something else'}"
    raise InputError("input_wrong_format", message, offset_bytes=0, hint="Give the file the ending of what it is.")


def _unknown() -> InputError:
    message = f"the ending of the name tells no format; valid are {VALID}"
    return InputError("input_unknown_format", message, hint=f"Name the format: --input-format {'|'.join(FORMATS)}")
