"""An HTTP API that answers in JSON: its records read page by page, only what changed; rows sent to it in batches.

Pages are fetched by this process and parsed in locked children. Where a page can be asked for before the one before it
has come (`page` and `offset`), several are under way at once; what they give is kept in their order.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from penstock.connectors.authorising import Auth, Authoriser, OAuth2
from penstock.connectors.batches import batches
from penstock.connectors.exchange import Answer, Exchange, Request
from penstock.connectors.gates import Gate, Settings, gate
from penstock.connectors.pagination import (
    REPEATED_MAX,
    CursorPages,
    LinkPages,
    NumberedPages,
    OffsetPages,
    OnePage,
    Pages,
    UrlPages,
    is_last,
    next_link,
    params_of,
)
from penstock.core import limits
from penstock.core.columns import Column
from penstock.core.errors import DestinationUnavailable, SourceRefused, TaskFailed
from penstock.core.ports import BegunPage, Landed, PipelineContext, RawReader
from penstock.core.raw import PageQuestion, RawLines, later

_AHEAD_MAX: Final = 8  # pages under way at once
_KNOWN_MAX: Final = 1_000
_DAY_CHARACTERS: Final = len("2024-01-02")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
Scalar = str | int | float | bool
Pairs = tuple[tuple[str, str], ...]


def _seconds(text: str) -> str:
    number, unit = text[:-1], text[-1:]
    if unit not in _SECONDS or not number.isascii() or not number.isdigit():
        raise ValueError(f"{text!r} is no time; valid are such as 90s, 10m, 2h, 1d")
    return text


class RestSettings(Settings):
    """An HTTP API."""

    url: str = Field(description="Where it is; paths of tasks are relative to it.")
    auth: Auth | None = Field(None, description="Who asks: bearer, basic, header, query or oauth2.")
    headers: dict[str, str] = Field(default_factory=dict, description="Sent with every request.")
    timeout: float = Field(30, gt=0, le=limits.SOURCE_REQUEST.value, description="Seconds to wait for an answer.")


class Incremental(BaseModel):
    """What was read last, so that only what is newer is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str = Field(description="Of each record; its highest value is remembered. Names with dots between.")
    param: str = Field(description="The parameter that takes it: give me what is not older.")
    start: str | int | None = Field(None, description="What the first run asks for; without it, for everything.")
    lookback: Annotated[str, AfterValidator(_seconds)] | int | None = Field(
        None, description="How far before the highest value to begin: 2h of a time, or a number of a number."
    )


class FromRest(BaseModel):
    """What an ingest reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field("", description="From the connection's url.")
    params: dict[str, Scalar] = Field(default_factory=dict, description="Of each request.")
    headers: dict[str, str] = Field(default_factory=dict, description="Of each request.")
    records_at: str = Field("", description="Where the records of a page are; names with dots between.")
    pages: Pages = Field(
        default_factory=lambda: OnePage(kind="none"), description="none, page, offset, cursor, link or url."
    )
    cursor: Incremental | None = Field(None, description="How only what is new is read.")


class ToRest(BaseModel):
    """Where an export sends rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field("", description="From the connection's url.")
    method: Literal["POST", "PUT", "PATCH"] = Field("POST", description="Of each request.")
    headers: dict[str, str] = Field(default_factory=dict, description="Of each request.")
    format: Literal["ndjson", "json"] = Field("json", description="A line for each row, or one array.")
    batch: int = Field(1_000, ge=1, le=100_000, description="Rows a request, at most.")
    key_header: str = Field("Idempotency-Key", description="Has the same value when a batch is sent again.")

    in_batches: ClassVar = True

    @property
    def staged(self) -> str:
        """The file that is sent."""
        return "ndjson"


class RestConnector:
    """Reads from and writes to an HTTP API."""

    Spec = RestSettings
    From = FromRest
    To = ToRest

    def fetch(self, name: str, settings: RestSettings, wanted: FromRest, ctx: PipelineContext, /) -> Iterator[Landed]:
        """Yield one file of lines: the records of all pages."""
        state = _State.of(name, wanted, ctx)
        lines, rejected = ctx.staging / "pages.ndjson", ctx.staging / "pages-rejected.ndjson"
        total = _Total()
        with ExitStack() as stack:
            raw = stack.enter_context(ctx.open_raw())
            caller = stack.enter_context(ExitStack())
            asking = _Asking(_caller(caller, name, settings, ctx), wanted, state, raw, ctx)
            out, aside = stack.enter_context(lines.open("xb")), stack.enter_context(rejected.open("xb"))
            for page in asking.pages(stack.enter_context(ThreadPoolExecutor(_AHEAD_MAX))):
                out.write(page.lines)
                aside.write(page.rejected)
                total.add(page)
                state.add(page)
                ctx.progress(total.records)
                if total.records:
                    ctx.expect_write()
        ctx.log("pages were read", pages=total.pages, records=total.records, rejected=total.refused)
        state.remember()
        if total.records or total.refused:
            source = f"{name}:{wanted.path}"
            yield Landed(lines, source, "lines", kinds=total.kinds, rejected=rejected if total.refused else None)

    def send(
        self,
        name: str,
        settings: RestSettings,
        wanted: ToRest,
        file: Path,
        ctx: PipelineContext,
        /,
        *,
        columns: Sequence[Column] = (),
    ) -> Mapping[str, Any]:
        """Send lines in batches, each with a key by which the receiver knows it again."""
        sent = requests = 0
        with ExitStack() as stack:
            caller = _caller(stack, name, settings, ctx)
            for number, batch in enumerate(batches(file, rows_max=wanted.batch)):
                ctx.confirm()
                caller.call(_batch_request(wanted, batch, number, ctx))
                sent, requests = sent + len(batch), requests + 1
                ctx.progress(sent)
        return {"sent": sent, "requests": requests}


CONNECTOR: Final = RestConnector()


@dataclass(slots=True)
class _Total:
    """What all pages have together."""

    pages: int = 0
    records: int = 0
    refused: int = 0
    kinds: dict[str, frozenset[str]] = field(default_factory=dict)
    size_bytes: int = 0

    def add(self, page: RawLines) -> None:
        self.pages += 1
        self.records += page.records
        self.refused += page.refused
        self.size_bytes += len(page.lines)
        for name, kinds in page.kinds.items():
            self.kinds[name] = self.kinds.get(name, frozenset()) | kinds
        if self.pages > limits.SOURCE_PAGES.value or self.size_bytes > limits.SOURCE_BYTES.value * 2**20:
            raise TaskFailed(
                f"the source has more than {limits.SOURCE_PAGES.value:,} pages or {limits.SOURCE_BYTES.value:,} MiB",
                hint="Read it in parts: params with ${date}, or for_each.",
            )


class _State:
    """How far a source was read, and how far it is now."""

    def __init__(self, incremental: Incremental | None, key: str, ctx: PipelineContext) -> None:
        self.incremental = incremental
        self._key = key
        self._ctx = ctx
        found = ctx.cursors.get(key) if incremental is not None else None
        self._before: tuple[Any, Any] | None = None if found is None else (found["rank"], found["value"])
        self.known: tuple[str, ...] = () if found is None else tuple(found["known"])
        self._highest, self._at_highest = self._before, self.known

    @classmethod
    def of(cls, name: str, wanted: FromRest, ctx: PipelineContext) -> _State:
        """Return the state of a task's reading; each thing of a `for_each` has its own."""
        key = "/".join(part for part in ("rest", name, wanted.path, ctx.occurrence.part) if part)
        return cls(wanted.cursor, key, ctx)

    def params(self) -> Pairs:
        """Return the parameter that asks for what is new."""
        asked = self.incremental
        if asked is None:
            return ()
        value = asked.start if self._before is None else _earlier(self._before[1], asked.lookback)
        return () if value is None else ((asked.param, str(value)),)

    def add(self, page: RawLines) -> None:
        """Take note of the highest value of a page, and of the records that have it."""
        highest = later(self._highest, page.highest)
        if page.highest is None or highest is None:
            return
        if self._highest is None or highest[0] != self._highest[0]:
            self._at_highest = ()
        if page.highest[0] == highest[0]:
            self._at_highest = tuple(dict.fromkeys((*self._at_highest, *page.at_highest)))[:_KNOWN_MAX]
        self._highest = highest

    def remember(self) -> None:
        """Remember how far the source was read, once the rows are published."""
        if self._highest is not None:
            found = {"rank": self._highest[0], "value": self._highest[1], "known": list(self._at_highest)}
            self._ctx.cursors.set(self._key, found)


@dataclass(frozen=True, slots=True)
class _Caller:
    """Sends requests through the connection's gate, with what lets them in."""

    exchange: Exchange
    authoriser: Authoriser
    gate: Gate
    headers: Mapping[str, str]
    ctx: PipelineContext

    def call(self, request: Request, then: Callable[[Answer], Any] = lambda answer: answer) -> Any:
        """Return what `then` makes of the answer; both are done again when that may help."""
        try:
            return self.gate.call(self.ctx, lambda: then(self._send(request)))
        except DestinationUnavailable as error:
            if isinstance(error.__cause__, SourceRefused):  # each try has given the same
                raise error.__cause__ from None
            raise

    @contextmanager
    def reading(self, answer: Answer, request: Request) -> Iterator[None]:
        """Say whose an answer is that cannot be read; what is no JSON, as a proxy's page, is asked for again."""
        try:
            yield
        except SourceRefused as error:
            told = self.exchange.unreadable(answer, request, error)
            if error.figures.get("is_json") is not False:
                raise told from error
            raise DestinationUnavailable(told.message, hint=told.hint) from told

    def _send(self, request: Request) -> Answer:
        whole = self._with(request)
        answer = self.exchange.send(whole)
        if answer.status == 401 and self.authoriser.renews:
            answer = self.exchange.send(self._with(request, refused=dict(whole.headers).get("Authorization")))
        if answer.status == 401:
            raise self.exchange.refused_401(request)
        return answer

    def _with(self, request: Request, *, refused: str | None = None) -> Request:
        headers, params = self.authoriser.pairs(refused=refused)
        given = (*self.headers.items(), *request.headers, *headers)
        return Request(request.url, request.what, request.method, (*request.params, *params), given, request.body)


class _Asking:
    """Asks for one page after the other, or for several at once."""

    def __init__(self, caller: _Caller, wanted: FromRest, state: _State, raw: RawReader, ctx: PipelineContext) -> None:
        self._caller = caller
        self._wanted = wanted
        self._state = state
        self._raw = raw
        self._ctx = ctx
        self._path = wanted.path.lstrip("/")
        self._params = (*((name, _word(value)) for name, value in wanted.params.items()), *state.params())

    def pages(self, pool: ThreadPoolExecutor) -> Iterator[RawLines]:
        """Yield what each page has, in order."""
        match self._wanted.pages:
            case NumberedPages() | OffsetPages() as pages:
                yield from self._numbered(pages, pool)
            case _:
                yield from self._chained()

    def _numbered(self, pages: NumberedPages | OffsetPages, pool: ThreadPoolExecutor) -> Iterator[RawLines]:
        """Yield pages that can be asked for ahead; how many at once grows with those that were needed."""
        under_way: deque[Future[tuple[RawLines, bytes]]] = deque()
        asked, ahead, repeated, before = itertools.count(), 1, 0, b""
        try:
            while repeated < REPEATED_MAX:
                while len(under_way) < ahead:
                    under_way.append(pool.submit(self._page, self._path, params_of(pages, next(asked))))
                found, digest = under_way.popleft().result()
                repeated = repeated + 1 if digest == before else 0
                if not repeated:
                    yield found
                if is_last(pages, found.records + found.refused + found.left_out):
                    return
                before, ahead = digest, min(2 * ahead, _AHEAD_MAX)
        finally:
            for future in under_way:
                future.cancel()

    def _chained(self) -> Iterator[RawLines]:
        """Yield pages each of which says where the next is; its records are read while that is asked for."""
        before: BegunPage | None = None
        for begun in self._begun():
            if before is not None:
                yield before.lines()
            before = begun
        if before is not None:
            yield before.lines()

    def _begun(self) -> Iterator[BegunPage]:
        """Yield pages of which it is known where the next is, and no more than that yet."""
        pages = self._wanted.pages
        url, more = self._path, Pairs()
        seen: set[str | int] = set()
        while True:
            begun, following = self._begin(url, more, first=not seen)
            yield begun
            if following is None:
                return
            if following in seen:
                raise SourceRefused(
                    f"the next page of {self._wanted.path!r} is one that was read already",
                    hint="Look at pages, and at the source: it would go on for ever.",
                )
            seen.add(following)
            if isinstance(pages, CursorPages):
                more = ((pages.param, str(following)),)
            else:
                url = str(following)

    def _begin(self, url: str, params: Pairs, *, first: bool) -> tuple[BegunPage, str | int | None]:
        """Return a page whose records are being read, and what it says of the next."""
        request = self._request(url, params, first=first)

        def begin(answer: Answer) -> tuple[BegunPage, str | int | None]:
            with self._caller.reading(answer, request):
                begun = self._raw.begin_page(answer.body, self._question(answer))
            return begun, next_link(answer.headers) if isinstance(self._wanted.pages, LinkPages) else begun.next

        found: tuple[BegunPage, str | int | None] = self._caller.call(request, begin)
        return found

    def _page(self, url: str, params: Pairs) -> tuple[RawLines, bytes]:
        """Return a page as lines, and a hash of it as it came."""
        request = self._request(url, params)

        def parse(answer: Answer) -> tuple[RawLines, bytes]:
            with self._caller.reading(answer, request):
                return self._raw.page(answer.body, self._question(answer)), hashlib.sha256(answer.body).digest()

        found: tuple[RawLines, bytes] = self._caller.call(request, parse)
        return found

    def _request(self, url: str, params: Pairs, *, first: bool = True) -> Request:
        # The URL of a next page has the parameters in it, and many sources refuse them twice.
        own = () if isinstance(self._wanted.pages, LinkPages | UrlPages) and not first else self._params
        return Request(url, self._wanted.path, params=(*own, *params), headers=tuple(self._wanted.headers.items()))

    def _question(self, answer: Answer) -> PageQuestion:
        pages, incremental = self._wanted.pages, self._state.incremental
        return PageQuestion(
            records_at=self._wanted.records_at,
            next_at=pages.next_at if isinstance(pages, CursorPages | UrlPages) else None,
            cursor_at=None if incremental is None else incremental.field,
            known=self._state.known,
            encoding=answer.encoding,
        )


def _caller(stack: ExitStack, name: str, settings: RestSettings, ctx: PipelineContext) -> _Caller:
    exchange = stack.enter_context(Exchange(ctx, name, settings.url, timeout_s=settings.timeout))
    tokens = None
    if isinstance(settings.auth, OAuth2):
        parts = urlsplit(settings.auth.token_url)
        base = f"{parts.scheme}://{parts.netloc}"
        tokens = stack.enter_context(Exchange(ctx, name, base, timeout_s=settings.timeout))
    authoriser = Authoriser(settings.auth, workspace=ctx.occurrence.workspace, tokens=tokens)
    return _Caller(exchange, authoriser, gate(ctx, name, settings), settings.headers, ctx)


def _batch_request(wanted: ToRest, batch: list[bytes], number: int, ctx: PipelineContext) -> Request:
    body = b"\n".join(batch) + b"\n" if wanted.format == "ndjson" else b"[" + b",".join(batch) + b"]"
    now = ctx.occurrence
    words = f"{now.run}/{now.task}/{now.part}/{number}/".encode()
    key = hashlib.sha256(words + hashlib.sha256(body).digest()).hexdigest()
    kind = "application/x-ndjson" if wanted.format == "ndjson" else "application/json"
    headers = (("Content-Type", kind), (wanted.key_header, key[:40]), *wanted.headers.items())
    return Request(wanted.path.lstrip("/"), wanted.path, method=wanted.method, headers=headers, body=body)


def _earlier(value: Any, lookback: str | int | None) -> Any:
    """Return a cursor's value so much earlier, written as it was."""
    if lookback is None:
        return value
    if isinstance(value, int | float) and isinstance(lookback, int):
        return value - lookback
    if isinstance(value, str) and isinstance(lookback, str):
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None:
            seconds = int(lookback[:-1]) * _SECONDS[lookback[-1]]
            earlier = moment - dt.timedelta(seconds=seconds)
            if len(value) == _DAY_CHARACTERS:
                return earlier.date().isoformat()
            return earlier.isoformat().replace("+00:00", "Z") if value.endswith("Z") else earlier.isoformat()
    raise TaskFailed(
        f"lookback: {lookback!r} does not fit the cursor's values",
        hint="Say a time such as 2h where they are times, a number where they are numbers.",
    )


def _word(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
