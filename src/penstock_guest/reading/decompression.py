"""Undoes compression piece by piece: flat memory also for a bomb, and an error where the data ends too early."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

import brotli
import zstandard

from penstock_guest.reading.errors import InputError

PIECE_BYTES: Final = 256 * 1024
# The library has no bound for what one call gives out. A block of Zstandard, at least 4 bytes, is at most 128 KiB of
# text, so a slice of 256 bytes is at most 8 MiB; feeding it in such slices costs a tenth of the speed.
_ZSTD_SLICE_BYTES: Final = 256
_ZSTD_WINDOW_BYTES_MAX: Final = 2**27
_GZIP_WITH_HEADER: Final = 31


def gunzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of gzip data of any number of members.

    Raises:
        InputError: when it is damaged or ends amid a member.
    """
    member = None
    members = offset = 0
    for piece in pieces:
        rest = piece
        while rest:
            if member is None:
                rest = rest.lstrip(b"\0") if members else rest  # some writers pad with zeros after the last member
                member = zlib.decompressobj(_GZIP_WITH_HEADER) if rest else None
                continue
            try:
                yield member.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                raise _damaged("gzip", str(error), offset) from error
            rest = member.unused_data if member.eof else member.unconsumed_tail
            if member.eof:
                member, members = None, members + 1
        offset += len(piece)
    if member is not None or not members:
        raise _truncated("gzip", offset)


def unzstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of Zstandard data of any number of frames.

    Raises:
        InputError: when it is damaged, ends amid a frame, or wants more memory than `zstd` itself allows by default.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
    frame = None
    frames = offset = 0
    for piece in pieces:
        for start in range(0, len(piece), _ZSTD_SLICE_BYTES):
            rest = piece[start : start + _ZSTD_SLICE_BYTES]
            while rest:
                frame = frame or decompressor.decompressobj()
                try:
                    yield frame.decompress(rest)
                except zstandard.ZstdError as error:
                    raise _damaged("Zstandard", str(error), offset + start) from error
                rest = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame, frames = None, frames + 1
        offset += len(piece)
    if frame is not None or not frames:
        raise _truncated("Zstandard", offset)


def unbrotli(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of one Brotli stream. Its window is 16 MiB at most: larger ones are an extension, refused here.

    Raises:
        InputError: when it is damaged, or ends too early.
    """
    decompressor = brotli.Decompressor()
    offset = 0
    for piece in pieces:
        rest, text = piece, b"-"
        while rest or (text and not decompressor.is_finished()):
            try:
                text = decompressor.process(rest, output_buffer_limit=PIECE_BYTES)
            except brotli.error as error:
                raise _damaged("Brotli", "it is not what it should be, or more follows its end", offset) from error
            yield text
            rest = b""  # it keeps what it has not used
        offset += len(piece)
    if not decompressor.is_finished():
        raise _truncated("Brotli", offset)


def _damaged(kind: str, reason: str, offset_bytes: int) -> InputError:
    message = f"the {kind} data cannot be undone: {reason}"
    return InputError("input_damaged", message, offset_bytes=offset_bytes, hint="Check the file, or fetch it again.")


def _truncated(kind: str, offset_bytes: int) -> InputError:
    message = f"the {kind} data ends after {offset_bytes:,} bytes, before its own end mark"
    return InputError(
        "input_truncated", message, offset_bytes=offset_bytes, hint="The file was cut short: fetch it again."
    )
