"""Reading: an input's bytes become blocks of whole records in one child, a block becomes records in another."""

from penstock_guest.reading.blocks import Block, Failure, Place, Segment, Skipped, Source, locate
from penstock_guest.reading.errors import InputError
from penstock_guest.reading.reader import read_blocks
from penstock_guest.reading.records import Records, Undecodable, decode

__all__ = [
    "Block",
    "Failure",
    "InputError",
    "Place",
    "Records",
    "Segment",
    "Skipped",
    "Source",
    "Undecodable",
    "decode",
    "locate",
    "read_blocks",
]
