"""Raw data made into lines in locked children: this side moves bytes, and believes of an answer what it must."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from typing import Any, Final, TypeVar

from penstock.core import limits
from penstock.core.errors import InputUnreadable, SourceRefused
from penstock.core.raw import KINDS, PageQuestion, RawLines
from penstock.core.scripts import Chunk, InputFile
from penstock.sandbox.children import Children, Death, Reply, Seat
from penstock.sandbox.strict import StrictSandbox

FoundT = TypeVar("FoundT")

_MIB: Final = 2**20
_INPUT_BYTES: Final = 2 * limits.SOURCE_PAGE.value * _MIB  # a page; or a chunk and what could not be cut of it
_OUTPUT_BYTES: Final = 10 * limits.SOURCE_PAGE.value * _MIB
_NAME_MAX: Final = 256
_MARK_MAX: Final = 2_000
_HASH_CHARACTERS: Final = 32
_GZIP: Final = b"\x1f\x8b"
_CHUNK_RECORDS: Final = 10_000
_BEGUN_MAX: Final = 2  # pages, each with a child to itself
_SMALL_BYTES: Final = 4 * _MIB  # a file is worth a child of its own from here on
_PLAIN: Final = {"letters_bytes": 0, "cursor_at": None, "known": (), "encoding": "identity"}
_QUESTION: Final = tuple(field.name for field in fields(PageQuestion))
_SPEC: Final = {
    "program": "raw",
    "name": "the reader of raw data",
    "warm": True,  # they belong to one attempt of one task, whose data they all see anyway
    "input_bytes": _INPUT_BYTES,
    "records_bytes": _OUTPUT_BYTES,
    "output_bytes": _OUTPUT_BYTES,
    "reply_bytes": limits.CARRIER_REPLY.value * 2**10,
    "wall_s": limits.WALL.value,
    "cpu_s": 2**31 - 2,  # they serve as long as there are pages; each page has its wall time
    "memory_bytes": limits.CARRIER_MEMORY.value * _MIB,
}


@contextlib.contextmanager
def open_raw(sandbox: StrictSandbox, *, parallel: int) -> Iterator[StrictRawReader]:
    """Give what turns raw data into lines, in children of its own."""
    with contextlib.closing(sandbox.start_program("std", _SPEC, seats=max(parallel, _BEGUN_MAX))) as children:
        yield StrictRawReader(sandbox, children, parallel=parallel)


class StrictRawReader:
    """Turns raw data into lines; safe to call from several threads."""

    def __init__(self, sandbox: StrictSandbox, children: Children, *, parallel: int) -> None:
        self._sandbox = sandbox
        self._children = children
        self._parallel = parallel

    def page(self, data: bytes, question: PageQuestion) -> RawLines:
        """Return the records of one JSON answer, and what it says of the next."""
        return self._ask(_of_page(data, question, ahead=False), data)

    def begin_page(self, data: bytes, question: PageQuestion) -> BegunPage:
        """Return what a JSON answer says of the next as soon as that is known, while its records are still read."""
        _require_room(data)
        seat = self._children.take()
        try:
            first = self._children.ask(seat, _of_page(data, question, ahead=True), data)
            following = _understood(lambda message: _following(message["next"]), _said(first).message)
        except BaseException:
            self._children.give_back(seat)
            raise
        return BegunPage(following, self._children, seat)

    def lines(self, file: InputFile, *, records_at: str = "") -> Iterator[RawLines]:
        """Yield the records of a file in pieces, in order; several pieces are worked on at once."""
        whole = self._document(file, records_at) if records_at else self._whole(file, records_at)
        if whole is not None:
            yield whole
            return
        with (
            self._sandbox.open_input(file, chunk_records=_CHUNK_RECORDS, as_arrow=False) as reader,
            ThreadPoolExecutor(self._parallel) as pool,
        ):
            waiting: deque[Future[RawLines]] = deque()
            for chunk in reader:
                if len(waiting) >= self._parallel:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(self._chunk, chunk, records_at))
            while waiting:
                yield waiting.popleft().result()

    def _document(self, file: InputFile, records_at: str) -> RawLines | None:
        """Return the records inside a file that is one JSON document; None when it is not, or is too large."""
        if file.size_bytes is None or not 0 < file.size_bytes <= limits.SOURCE_PAGE.value * _MIB:
            return None
        data = os.pread(file.fd, file.size_bytes, 0)
        encoding = "gzip" if data.startswith(_GZIP) else "identity"
        try:
            return self.page(data, PageQuestion(records_at=records_at, encoding=encoding))
        except SourceRefused as error:
            if error.figures.get("is_json") is not False:
                raise
            return None  # such as NDJSON: a document in each line

    def _whole(self, file: InputFile, records_at: str) -> RawLines | None:
        """Return the records of a small file, in one child and one go; None when it has to be read in pieces."""
        if file.size_bytes is None or not 0 < file.size_bytes <= _SMALL_BYTES or file.encoding != "identity":
            return None
        data = os.pread(file.fd, _SMALL_BYTES, 0)
        words = {"name": file.name, "format": file.format, "records_at": records_at}
        return self._asked({**_PLAIN, "form": "file", "input_bytes": len(data), **words}, data)

    def _chunk(self, chunk: Chunk, records_at: str) -> RawLines:
        if records_at and any(cause.code == "record_too_large" for cause in chunk.unreadable):
            raise SourceRefused(
                f"a document has more than {limits.CHUNK_BYTES.value} MiB",
                hint="Split it; or write its records as NDJSON, which may have any size.",
            )
        request = {
            **_PLAIN,
            "form": "chunk",
            "format": chunk.format,
            "segments": chunk.segments,
            "input_bytes": len(chunk.payload) + len(chunk.dead_letters),
            "letters_bytes": len(chunk.dead_letters),
            "records_at": records_at,
        }
        return self._ask(request, chunk.payload + chunk.dead_letters)

    def _ask(self, request: dict[str, Any], data: bytes) -> RawLines:
        return _required(self._asked(request, data))

    def _asked(self, request: dict[str, Any], data: bytes) -> RawLines | None:
        _require_room(data)
        return _lines(_said(self._children.run(request, data)))


class BegunPage:
    """A JSON answer whose records a child is reading.

    Attributes:
        next: what it says of the next.
    """

    def __init__(self, following: str | int | None, children: Children, seat: Seat) -> None:
        self.next = following
        self._children = children
        self._seat = seat

    def lines(self) -> RawLines:
        """Return its records, once they are read; to be called once."""
        try:
            reply = self._children.hear(self._seat)
        finally:
            self._children.give_back(self._seat)
        return _required(_lines(_said(reply)))


def _of_page(data: bytes, question: PageQuestion, *, ahead: bool) -> dict[str, Any]:
    said = {name: getattr(question, name) for name in _QUESTION}  # asdict copies a thousand known hashes one by one
    return {"form": "page", "ahead": ahead, "input_bytes": len(data), "letters_bytes": 0, **said}


def _require_room(data: bytes) -> None:
    if len(data) > _INPUT_BYTES:
        raise SourceRefused(
            f"there are {len(data):,} bytes to be read at once; {_INPUT_BYTES:,} are possible",
            hint="Ask for smaller pages, or split the file.",
        )


def _said(reply: Reply | Death) -> Reply:
    """Return what a child has answered, unless that is why it cannot answer.

    Raises:
        SourceRefused: when it ended, or was given what is no page.
        InputUnreadable: when it was given a broken file.
    """
    if isinstance(reply, Death):
        raise SourceRefused(
            f"the process that read what came ended ({reply.detail})", hint="Look at the source; ask for less."
        )
    if "unreadable" in reply.message:
        words, hint = _words(reply.message["unreadable"]), _words(reply.message.get("hint"))
        raise InputUnreadable(f"{words} (line {_words(reply.message.get('line'))})", hint=hint)
    if "broken" in reply.message:
        raise SourceRefused(
            f"what came cannot be read: {_words(reply.message['broken'])}",
            hint="Look at records_at, and at the source.",
            figures={"is_json": reply.message.get("is_json") is not False},
        )
    return reply


def _lines(reply: Reply) -> RawLines | None:
    """Return the lines of an answer; None when the child asks for another way."""
    if "another_way" in reply.message:
        return None
    return _understood(lambda message: _answer(message, reply.output, reply.dead_letters), reply.message)


def _required(found: RawLines | None) -> RawLines:
    if found is None:
        raise SourceRefused("the account of what came makes no sense", hint="Look at the source.")
    return found


def _understood(read: Callable[[Mapping[str, Any]], FoundT], message: Mapping[str, Any]) -> FoundT:
    """Return what is read of a child's message."""
    try:
        return read(message)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise SourceRefused(
            f"the account of what came makes no sense ({type(error).__name__})", hint="Look at the source."
        ) from error


def _words(text: Any) -> str:
    """Return what a child has said, as far as it can be shown."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text)[:500])


def _answer(message: Mapping[str, Any], lines: bytes, rejected: bytes) -> RawLines:
    kinds = {_name(name): frozenset(_kind(kind) for kind in found) for name, found in message["kinds"].items()}
    records, refused = message["records"], message["refused"]
    if (records, refused) != (lines.count(b"\n"), rejected.count(b"\n")):
        raise ValueError("another number of lines")
    at_highest = tuple(_hash(found) for found in message["at_highest"])
    return RawLines(
        lines=lines,
        rejected=rejected,
        records=records,
        refused=refused,
        kinds=kinds,
        next=_following(message["next"]),
        highest=_highest(message["highest"]),
        at_highest=at_highest,
        left_out=int(message["left_out"]),
    )


def _following(found: Any) -> str | int | None:
    if type(found) not in (str, int, bool, type(None)) or len(str(found)) > _MARK_MAX:
        raise TypeError("no next page")
    following: str | int | None = found
    return following


def _name(name: Any) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= _NAME_MAX or "\0" in name:
        raise ValueError("no name")
    return name


def _hash(found: Any) -> str:
    if not isinstance(found, str) or len(found) != _HASH_CHARACTERS:
        raise ValueError("no hash")
    return found


def _kind(kind: Any) -> str:
    if kind not in KINDS:
        raise ValueError("no kind")
    return str(kind)


def _highest(found: Any) -> tuple[Any, Any] | None:
    """Return how the highest value of the cursor's field is compared, and itself."""
    if found is None:
        return None
    rank, value = found
    if not all(type(each) in (str, int, float) and len(str(each)) <= _MARK_MAX for each in (rank, value)):
        raise TypeError("no cursor")
    return rank, value
