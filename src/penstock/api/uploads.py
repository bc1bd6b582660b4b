"""The body of POST /jobs: received block by block, never held whole, never decompressed and never parsed as records."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, cast

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from penstock.api.envelope import Envelope, as_lines, split_envelope
from penstock.api.job_models import JobAsk, ask_from_json, ask_from_words
from penstock.api.multipart import Form
from penstock.api.problems import MediaTypeUnsupported
from penstock.core import limits
from penstock.core.access import Actor
from penstock.core.errors import RequestInvalid, TooLarge
from penstock.core.jobs import BlobPointer, Encoding, JobInput

_BLOCK_BYTES: Final = 2**20  # so much is gathered before a thread writes it
_QUICK_BYTES: Final = 64 * 1024
_ENVELOPE_BYTES: Final = limits.ENVELOPE.value * 2**20
_FORMATS: Final = {
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonlines": "ndjson",
    "text/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
}
_ENDINGS: Final = {"ndjson": "ndjson", "csv": "csv", "parquet": "parquet", "json": "json"}
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
    """A request whose body has come in whole.

    Attributes:
        small: the bytes of a small input, which are stored with the job.
        ours: whether the input was stored for this request, so that it goes when no job comes of it.
    """

    ask: JobAsk
    input: JobInput
    small: bytes | None
    ours: bool


async def receive(request: Request, *, server: Any, actor: Actor) -> Received:
    """Return what a request asks for, its input durable or in hand.

    Raises:
        MediaTypeUnsupported: when the body is of another type.
        RequestInvalid: when the body or an option is not valid.
        TooLarge: when it is larger than a bound, which the message names.
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


async def _receive_envelope(request: Request, server: Any, actor: Actor, encoding: Encoding) -> Received:
    if encoding != "identity":
        raise MediaTypeUnsupported(
            f"application/json with Content-Encoding {encoding} is not taken here",
            hint="Send it as it is; or send the records alone, compressed, as application/x-ndjson.",
        )
    upload = await run_in_threadpool(server.uploads.begin, actor=actor)
    body = await _held(request)
    envelope = await _split(body)
    ask = ask_from_json(envelope.options)
    if envelope.records is None:
        pointer = await run_in_threadpool(server.uploads.point_to, envelope.blob or "", actor=actor)
        name = ask.name or str(envelope.blob).rpartition("/")[2]
        return Received(ask, JobInput(pointer, name=_harmless(name), format=ask.format), None, ours=False)
    if ask.format not in (None, "json"):
        raise RequestInvalid(
            f"body.format: records inside JSON are JSON, not {ask.format}",
            hint="Leave `format` out, or send the records as a body of their own.",
            problems=[{"place": "body.format", "message": "is for inputs that are not inline"}],
        )
    try:
        (pointer, small), format_ = await run_in_threadpool(_store_records, upload, envelope.records)
    except BaseException:
        upload.discard()
        raise
    return Received(ask, JobInput(pointer, name=ask.name or "records.json", format=format_), small, ours=True)


async def _split(body: bytes) -> Envelope:
    # A few kilobytes take microseconds; a MiB would keep everybody else waiting.
    return split_envelope(body) if len(body) <= _QUICK_BYTES else await run_in_threadpool(split_envelope, body)


def _store_records(upload: Any, records: bytes) -> tuple[tuple[BlobPointer, bytes | None], str]:
    lines = as_lines(records)
    return (_store(upload, records), "json") if lines is None else (_store(upload, lines), "ndjson")


def _store(upload: Any, data: bytes) -> tuple[BlobPointer, bytes | None]:
    upload.write(data)
    stored: tuple[BlobPointer, bytes | None] = upload.finish()
    return stored


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


async def _receive_records(request: Request, server: Any, actor: Actor, format_: str, encoding: Encoding) -> Received:
    ask = ask_from_words(request.query_params.multi_items(), place="query")
    if ask.format not in (None, format_):
        raise RequestInvalid(
            f"query.format is {ask.format}, and the Content-Type says {format_}",
            hint="Say it once.",
            problems=[{"place": "query.format", "message": "does not fit the Content-Type"}],
        )
    pointer, small = await _stream(server, actor, request.stream(), _announced_bytes(request))
    name = ask.name or f"records.{_ENDINGS[format_]}"
    return Received(ask, JobInput(pointer, name=name, format=format_, encoding=encoding), small, ours=True)


async def _receive_form(request: Request, server: Any, actor: Actor, encoding: Encoding) -> Received:
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

    pointer, small = await _stream(server, actor, file(), _announced_bytes(request))
    try:
        ask = ask_from_words(request.query_params.multi_items() + form.fields, place="form")
    except RequestInvalid:
        await run_in_threadpool(server.uploads.drop, pointer)
        raise
    name = _harmless(ask.name or form.file_name or "")
    by_type = _FORMATS.get(form.file_type.partition(";")[0].strip().lower())
    format_ = ask.format or (None if "." in name else by_type or "ndjson")
    return Received(ask, JobInput(pointer, name=name or "records", format=format_), small, ours=True)


async def _stream(
    server: Any, actor: Actor, blocks: AsyncIterator[bytes], announced_bytes: int | None
) -> tuple[BlobPointer, bytes | None]:
    """Store blocks as they come; what came is dropped when anything goes wrong."""
    upload = await run_in_threadpool(server.uploads.begin, actor=actor, expected_bytes=announced_bytes)
    try:
        gathered = bytearray()
        async for block in blocks:
            gathered += block
            if len(gathered) >= _BLOCK_BYTES:
                await run_in_threadpool(upload.write, bytes(gathered))
                gathered.clear()
        stored: tuple[BlobPointer, bytes | None] = await run_in_threadpool(_store, upload, bytes(gathered))
    except BaseException:
        await run_in_threadpool(upload.discard)
        raise
    return stored


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
