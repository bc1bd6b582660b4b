"""multipart/form-data as it comes in: fields are held, one file is passed on block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from penstock.core.errors import RequestInvalid

_FIELDS_MAX: Final = 64
_FIELD_BYTES_MAX: Final = 64 * 1024  # all fields together


class Form:
    """A form with one file.

    Attributes:
        fields: names and texts in their order.
        file_name: as the sender gave it, None before the file has begun.
        file_type: the content type of the file's part.
    """

    def __init__(self, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise _invalid("the Content-Type has no boundary")
        self.fields: list[tuple[str, str]] = []
        self.file_name: str | None = None
        self.file_type = ""
        self._is_file = False
        self._field_name = ""
        self._field = bytearray()
        self._field_bytes = 0
        self._ended = False
        self._name = bytearray()
        self._value = bytearray()
        self._headers: dict[str, bytes] = {}
        self._blocks: list[bytes] = []
        callbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]  # a TypedDict of exactly these
        except MultipartParseError as error:
            raise _invalid(str(error)) from None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take a block of the body, and yield what of it is the file's."""
        try:
            self._parser.write(data)
        except MultipartParseError:
            raise _invalid("its parts are not separated as the boundary says") from None
        yield from self._blocks
        self._blocks.clear()

    def end(self) -> None:
        """Check that the form is whole.

        Raises:
            RequestInvalid: when it was cut off, or has no file.
        """
        if not self._ended:
            raise _invalid("it ends before its last boundary")
        if self.file_name is None:
            raise _invalid("it has no file: one part must have a filename")

    def _begin(self) -> None:
        self._headers = {}
        self._name.clear()
        self._value.clear()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]  # the parser bounds headers itself

    def _header_end(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._field_name = options.get(b"name", b"").decode("utf-8", "replace")
        self._field.clear()
        self._is_file = b"filename" in options
        if not self._is_file:
            return
        if self.file_name is not None:
            raise _invalid("it has two files; a job has one")
        self.file_name = options[b"filename"].decode("utf-8", "replace")
        self.file_type = self._headers.get("content-type", b"").decode("latin-1")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._blocks.append(data[start:end])
            return
        self._field += data[start:end]
        self._field_bytes += end - start
        if self._field_bytes > _FIELD_BYTES_MAX:
            raise _invalid(f"its fields have more than {_FIELD_BYTES_MAX:,} bytes; only the file may be large")

    def _part_end(self) -> None:
        if self._is_file:
            return
        if len(self.fields) >= _FIELDS_MAX:
            raise _invalid(f"it has more than {_FIELDS_MAX} fields")
        try:
            self.fields.append((self._field_name, self._field.decode("utf-8")))
        except UnicodeDecodeError:
            raise _invalid(f"the field {self._field_name[:64]!r} is not UTF-8") from None

    def _end(self) -> None:
        self._ended = True


def _invalid(message: str) -> RequestInvalid:
    return RequestInvalid(
        f"the form cannot be read: {message}",
        hint="Send one file, and the options as fields: curl -F script=NAME -F file=@orders.ndjson",
        problems=[{"place": "body", "message": message}],
    )
