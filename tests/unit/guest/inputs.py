"""Inputs made in memory, and what reading them gives, for the tests of reading."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
import zstandard

from penstock_guest.reading import Undecodable, decode, locate, read_blocks, window


class MemorySource:
    """Bytes that are handed out in pieces of at most some size, as a pipe or a mapped file would."""

    def __init__(self, content, *, piece_bytes=None, mapped=False):
        self._content = memoryview(content)
        self._piece_bytes = piece_bytes or len(content) or 1
        self.buffer = self._content if mapped else None

    def read(self, size_bytes, /):
        """Return the next piece."""
        piece = self._content[: min(size_bytes, self._piece_bytes)]
        self._content = self._content[len(piece) :]
        return piece


def blocks_of(
    content, name="in.ndjson", *, piece_bytes=None, mapped=False, window_bytes=window.WINDOW_BYTES, **options
):
    """Read everything, through a window of the size given where it matters what a window happens to hold."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window, "WINDOW_BYTES", window_bytes)
        return list(read_blocks(MemorySource(content, piece_bytes=piece_bytes, mapped=mapped), name=name, **options))


def records_of(blocks):
    """Decode everything; what cannot be decoded becomes its code."""
    return [
        record.code if isinstance(record, Undecodable) else record
        for block in blocks
        if block.records
        for record in decode(block.format, block.payload)
    ]


def places_of(blocks):
    """Return (member, record, line) of every record, as a script's child would find them."""
    places = []
    for block in blocks:
        records = decode(block.format, block.payload)
        for index, _ in enumerate(records):
            place = locate(block.segments, index, records.line())
            places.append((place.member, place.record, place.line))
    return places


def failures_of(blocks):
    """Return (code, line) of every failure."""
    return [(failure.code, failure.line) for block in blocks for failure in block.failures]


def tar_of(members, *, dialect=tarfile.PAX_FORMAT):
    """Make an archive of a dict of names and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=dialect) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zstd_of(content):
    """Compress as one frame with a checksum, as the command line does."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


def gzip_of(content):
    """Compress as one member."""
    return gzip.compress(content, mtime=0)


def real_data(name):
    """Return the bytes of a public data set, or skip the test where there is none."""
    folder = Path(os.environ.get("PENSTOCK_DATA") or Path(__file__).parents[4] / "shared" / "data")
    if not (folder / name).is_file():
        pytest.skip(f"{name} is not in $PENSTOCK_DATA")
    return (folder / name).read_bytes()
