"""Import profiles: what a script may import, and what a base zygote therefore loads before it locks itself."""

from __future__ import annotations

import importlib
import sys
from typing import Final

from penstock_guest import zones

STANDARD: Final = """
    __future__ abc array base64 binascii bisect calendar cmath collections collections.abc contextlib copy csv
    dataclasses datetime decimal difflib enum fractions functools hashlib heapq hmac html html.parser io itertools
    json keyword math numbers operator orjson random re statistics string struct textwrap time types typing
    unicodedata urllib.parse uuid zlib zoneinfo
""".split()
ARROW: Final = ["numpy", "pyarrow", "pyarrow.compute", "pyarrow.types"]

# Loaded so that they work after the lock, though a script does not name them: Python imports them late.
LATE: Final = """
    _strptime encodings.ascii encodings.big5 encodings.cp1250 encodings.cp1251 encodings.cp1252 encodings.cp437
    encodings.cp850 encodings.euc_jp encodings.euc_kr encodings.gb18030 encodings.gbk encodings.idna
    encodings.iso8859_1 encodings.iso8859_15 encodings.iso8859_2 encodings.latin_1 encodings.mac_roman
    encodings.punycode encodings.raw_unicode_escape encodings.shift_jis encodings.unicode_escape encodings.utf_16
    encodings.utf_16_be encodings.utf_16_le encodings.utf_32 encodings.utf_7 encodings.utf_8_sig linecache stringprep
""".split()
LATE_ARROW: Final = """
    numpy.char numpy.fft numpy.linalg numpy.ma numpy.polynomial numpy.random numpy.rec numpy.strings
    pyarrow.acero pyarrow.csv pyarrow.ipc pyarrow.json pyarrow.parquet
""".split()

ALLOWED: Final[dict[str, list[str]]] = {"std": STANDARD, "arrow": STANDARD + ARROW, "js": []}
_PROGRAMS: Final = [
    "penstock_guest.probe",
    "penstock_guest.python_script",
    "penstock_guest.raw",
    "penstock_guest.transport",
]
_ARROW_PROGRAMS: Final = """
    penstock_guest.tables penstock_guest.reading.parquet penstock_guest.writing.parquet penstock_guest.writing.streams
    penstock_guest.one_thread penstock_guest.footers
""".split()
_LOADED: Final[dict[str, list[str]]] = {
    "std": [*STANDARD, *LATE, *_PROGRAMS],
    "arrow": [*STANDARD, *LATE, *ARROW, *LATE_ARROW, *_PROGRAMS, *_ARROW_PROGRAMS],
    "js": ["quickjs", "penstock_guest.probe", "penstock_guest.javascript"],
}


WITH_SCHEMAS: Final = "+schemas"  # behind a profile's name: a base zygote of its own, for versions that have schemas


def load(name: str) -> None:
    """Import all that the profile may need; after the lock, no import can reach a file.

    Args:
        name: of a profile, perhaps with WITH_SCHEMAS behind it.

    Raises:
        ImportError: when a library of the profile is not installed.
    """
    profile = name.removesuffix(WITH_SCHEMAS)
    if profile != name:
        importlib.import_module("penstock_guest.schemas")
    for module in _LOADED[profile]:
        importlib.import_module(module)
    zones.load()
    if profile == "arrow":
        sys.modules["penstock_guest.one_thread"].load()
