"""Writing: a spool of records becomes a file of another format."""

from penstock_guest.writing.errors import SpoolError
from penstock_guest.writing.writer import write_blocks

__all__ = ["SpoolError", "write_blocks"]
