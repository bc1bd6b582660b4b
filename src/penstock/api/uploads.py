"""The body of POST /jobs: received block by block, never held whole, never decompressed and never parsed as records."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from penstock.api.envelope import as_lines, split_envelope
from penstock.api.job_models import JobAsk, ask_from_json, ask_from_words
from penstock.api.multipart import Form
from penstock.api.problems import MediaTypeUnsupported
from penstock.core import limits
from penstock.core.access import Actor
from penstock.core.errors import RequestInvalid, TooLarge
from penstock.core.jobs import BlobPointer, Encoding, JobInput
from penstock.usecases.uploads import Upload

_BLOCK_BYTES: Final = 256 * 1024  # so much is gathered before a thread writes it
_ENVELOPE_BYTES: Final = limits.ENVELOPE.value * 2**20
_FORMATS: Final = {
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonlines": "ndjson",
    "text/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
}
_ENCODINGS: Final = {
    "": "identity",
    "identity": "identity",
    "gzip": "gzip",
    "x-gzip": "gzip",
    "zstd": "zstd",
    "br": "br",
}
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f]")
_NAME_LENGTH_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Received:
    """A request whose body has come in whole, and whose input is durable or in hand.

    Attributes:
        small: the bytes of a small input, which are stored with the job.
        ours: whether the input was stored for this request, so that it goes when no job comes of it.
    """

    ask: JobAsk
    input: JobInput
    small: bytes | None
    ours: bool


@dataclass(slots=True)
class _Arriving:
    """A body that has come in: what is stored of it already, and the rest."""

    server: Any
    actor: Actor
    rest: bytes
    upload: Upload | None = None

    def write(self, data: bytes) -> Upload:
        """Store data, and return the upload that it became part of."""
        upload = self.upload = self.upload or self.server.uploads.begin(actor=self.actor)
        upload.write(data)
        return upload

    def store(self) -> tuple[BlobPointer, bytes | None]:
        """Store the rest, and return where all of it is."""
        try:
            return self.write(self.rest).finish()
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Drop what is stored."""
        if self.upload is not None:
            self.upload.discard()


async def receive(request: Request, *, server: Any, actor: Actor) -> Callable[[], Received]:
    """Take the body of a request, and return what finishes the work in a thread: one, since each costs its turn.

    Raises:
        MediaTypeUnsupported: when the body is of another type.
        RequestInvalid: when the body or an option is not valid; what is returned may raise it too.
        TooLarge: when it is larger than a bound, which the message names; what is returned may raise it too.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = _encoding_of(request)
    if media_type == "application/json":
        return await _receive_envelope(request, server, actor, encoding)
    if media_type == "multipart/form-data":
        return await _receive_form(request, server, actor, encoding)
    if media_type in _FORMATS:
        return await _receive_records(request, server, actor, _FORMATS[media_type], encoding)
    valid = ", ".join(["application/json", "multipart/form-data", *_FORMATS])
    raise MediaTypeUnsupported(
        f"a body of type {media_type[:100]!r} is not taken here", hint=f"Send it with a Content-Type among: {valid}."
    )


async def _receive_envelope(request: Request, server: Any, actor: Actor, encoding: Encoding) -> Callable[[], Received]:
    if encoding != "identity":
        raise MediaTypeUnsupported(
            f"application/json with Content-Encoding {encoding} is not taken here",
            hint="Send it as it is; or send the records alone, compressed, as application/x-ndjson.",
        )
    body = await _held(request)
    return lambda: take_envelope(body, server, actor)


def take_envelope(body: bytes, server: Any, actor: Actor) -> Received:
    """Return what a JSON body asks for; its records are stored, or in hand when they are few."""
    envelope = split_envelope(body)
    ask = ask_from_json(envelope.options)
    if envelope.records is None:
        pointer = server.uploads.point_to(envelope.blob, actor=actor)
        name = ask.name or str(envelope.blob).rpartition("/")[2]
        return Received(ask, JobInput(pointer, name=_harmless(name), format=ask.format), None, ours=False)
    if ask.format not in (None, "json"):
        raise RequestInvalid(
            f"body.format: records inside JSON are JSON, not {ask.format}",
            hint="Leave `format` out, or send the records as a body of their own.",
            problems=[{"place": "body.format", "message": "is for inputs that are not inline"}],
        )
    lines = as_lines(envelope.records)
    pointer, small = _Arriving(server, actor, envelope.records if lines is None else lines).store()
    format_ = "json" if lines is None else "ndjson"
    return Received(ask, JobInput(pointer, name=ask.name or "records.json", format=format_), small, ours=True)


async def _held(request: Request) -> bytes:
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > _ENVELOPE_BYTES:
            raise TooLarge(
                f"the body is larger than {limits.ENVELOPE.value} MiB, the limit `envelope` of inline records",
                hint="Send the records alone, as application/x-ndjson with the options in the query.",
            )
    return bytes(body)


async def _receive_records(
    request: Request, server: Any, actor: Actor, format_: str, encoding: Encoding
) -> Callable[[], Received]:
    ask = ask_from_words(request.query_params.multi_items(), place="query")
    if ask.format not in (None, format_):
        raise RequestInvalid(
            f"query.format is {ask.format}, and the Content-Type says {format_}",
            hint="Say it once.",
            problems=[{"place": "query.format", "message": "does not fit the Content-Type"}],
        )
    arriving = await _stream(server, actor, request.stream(), _announced_bytes(request))

    def finish() -> Received:
        pointer, small = arriving.store()
        name = ask.name or f"records.{format_}"
        return Received(ask, JobInput(pointer, name=name, format=format_, encoding=encoding), small, ours=True)

    return finish


async def _receive_form(request: Request, server: Any, actor: Actor, encoding: Encoding) -> Callable[[], Received]:
    if encoding != "identity":
        raise MediaTypeUnsupported(
            f"a form with Content-Encoding {encoding} is not taken here",
            hint="Compress the file inside the form, and keep its ending: orders.ndjson.gz.",
        )
    form = Form(request.headers["content-type"])

    async def file() -> AsyncIterator[bytes]:
        async for block in request.stream():
            for piece in form.feed(block):
                yield piece
        form.end()

    arriving = await _stream(server, actor, file(), _announced_bytes(request))

    def finish() -> Received:
        try:
            ask = ask_from_words(request.query_params.multi_items() + form.fields, place="form")
        except RequestInvalid:
            arriving.discard()
            raise
        pointer, small = arriving.store()
        name = _harmless(ask.name or form.file_name or "")
        by_type = _FORMATS.get(form.file_type.partition(";")[0].strip().lower())
        format_ = ask.format or (None if "." in name else by_type or "ndjson")
        return Received(ask, JobInput(pointer, name=name or "records", format=format_), small, ours=True)

    return finish


async def _stream(server: Any, actor: Actor, blocks: AsyncIterator[bytes], announced_bytes: int | None) -> _Arriving:
    """Store blocks as they come, but for the last; what came is dropped when anything goes wrong."""
    arriving = _Arriving(server, actor, b"")
    if (announced_bytes or 0) > _BLOCK_BYTES:  # who may not send it is told before it is sent
        arriving.upload = await run_in_threadpool(server.uploads.begin, actor=actor, expected_bytes=announced_bytes)
    writing: asyncio.Future[Any] | None = None  # of one block, while the next comes in
    try:
        gathered = bytearray()
        async for block in blocks:
            gathered += block
            if len(gathered) >= _BLOCK_BYTES:
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(run_in_threadpool(arriving.write, bytes(gathered)))
                gathered.clear()
        if writing is not None:
            await writing
    except BaseException:
        if writing is not None:
            await asyncio.gather(writing, return_exceptions=True)  # the first error is the one that is told
        await run_in_threadpool(arriving.discard)
        raise
    arriving.rest = bytes(gathered)
    return arriving


def _encoding_of(request: Request) -> Encoding:
    given = request.headers.get("content-encoding", "").strip().lower()
    if given not in _ENCODINGS:
        raise MediaTypeUnsupported(
            f"Content-Encoding {given[:100]!r} is not taken here", hint="Valid are gzip, zstd and br, one of them."
        )
    return cast("Encoding", _ENCODINGS[given])


def _announced_bytes(request: Request) -> int | None:
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _harmless(name: str) -> str:
    """Return a file's name without folders, control characters and excess length; its ending stays."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", name.replace("\\", "/").rpartition("/")[2])[-_NAME_LENGTH_MAX:]
