"""Objects in S3 or in what speaks its protocol: read by patterns, each state once; written whole or not at all.

Only the connection's own keys are ever used, never those of the machine. An endpoint of one's own is judged by the
egress rule; a plain http one has to be listed. The store's client goes by a proxy that leads to the addresses that were
judged and to no others, since it follows redirects and resolves names itself.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, model_validator

from penstock.connectors.gates import Gate, Settings, gate
from penstock.connectors.pinning import PinnedProxy
from penstock.connectors.sending import ToFile
from penstock.connectors.taking import Found, FromFiles, Pattern, checked_pattern, matches, take_new
from penstock.core import limits
from penstock.core.columns import Column
from penstock.core.errors import DestinationUnavailable, SourceRefused, TaskFailed
from penstock.core.ports import Landed, PipelineContext

_WILD: Final = "*?["
_STATUS: Final = re.compile(r"status(?: code)?: (\d{3})")


class S3Settings(Settings):
    """Objects of a bucket below a prefix."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="Its name.")
    prefix: str = Field("", description="Paths of tasks are below it.")
    region: str = Field("us-east-1", pattern=r"^[a-z0-9-]{1,40}$", description="Of the bucket.")
    endpoint: str | None = Field(None, description="The service's URL, when it is not Amazon's.")
    key_id: str | None = Field(None, description="Who asks; without it, anybody.")
    secret_key: str | None = Field(None, repr=False, description="As ${secret:NAME}.")

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.key_id is None) != (self.secret_key is None):
            raise ValueError("key_id and secret_key go together; without both, objects are read as anybody may")
        return self


class ToS3(ToFile):
    """Where an export goes."""

    path: Pattern = Field(min_length=1, description="Of the object, from the connection's prefix.")


class S3Connector:
    """Reads and writes objects."""

    Spec = S3Settings
    From = FromFiles
    To = ToS3

    def fetch(self, name: str, settings: S3Settings, wanted: FromFiles, ctx: PipelineContext, /) -> Iterator[Landed]:
        """Yield copies of the objects that a pattern names and whose state was not taken yet."""
        with _bucket(name, settings, ctx) as bucket:
            yield from take_new(bucket.found(checked_pattern(wanted.path)), wanted, ctx)

    def list_files(self, name: str, settings: S3Settings, pattern: str, ctx: PipelineContext, /) -> list[str]:
        """Return the names of the objects that a pattern fits, taken or not."""
        with _bucket(name, settings, ctx) as bucket:
            return [found.name for found in bucket.found(checked_pattern(pattern))]

    def send(
        self,
        name: str,
        settings: S3Settings,
        wanted: ToS3,
        file: Path,
        ctx: PipelineContext,
        /,
        *,
        columns: Sequence[Column] = (),
    ) -> Mapping[str, Any]:
        """Put an object: it appears when all of it is there."""
        with _bucket(name, settings, ctx) as bucket:
            bucket.put(checked_pattern(wanted.path), file)
        return {"path": wanted.path, "bytes": file.stat().st_size}


CONNECTOR: Final = S3Connector()


@contextlib.contextmanager
def _bucket(name: str, settings: S3Settings, ctx: PipelineContext) -> Iterator[_Bucket]:
    endpoint = settings.endpoint or f"https://s3.{settings.region}.amazonaws.com"
    with PinnedProxy(ctx.resolve(endpoint)) as proxy:
        yield _Bucket(name, settings, gate(ctx, name, settings), ctx, endpoint=endpoint, proxy=proxy)


class _Bucket:
    def __init__(
        self, name: str, settings: S3Settings, gate: Gate, ctx: PipelineContext, *, endpoint: str, proxy: PinnedProxy
    ) -> None:
        self._name = name
        self._gate = gate
        self._ctx = ctx
        self._proxy = proxy
        self._store = _open(settings, endpoint, proxy_url=proxy.url)

    def found(self, pattern: str) -> Iterator[Found]:
        """Yield the objects that match, in the order of their names."""
        import obstore

        literal = "/".join(itertools.takewhile(lambda part: not set(part) & set(_WILD), pattern.split("/")[:-1]))
        listed: list[Any] = self._call(lambda: self._listed(obstore, literal))
        for item in sorted(listed, key=lambda item: item["path"]):
            if matches(item["path"], pattern):
                mark = f"{item['size']}-{item['e_tag'] or item['last_modified'].isoformat()}"
                yield Found(item["path"], mark, item["size"], partial(self._copy, item["path"]))

    def _listed(self, obstore: Any, prefix: str) -> list[Any]:
        found: list[Any] = []
        for page in obstore.list(self._store, prefix or None, chunk_size=1_000):
            found += page
            if len(found) > limits.SOURCE_LISTED.value:
                raise TaskFailed(
                    f"there are more than {limits.SOURCE_LISTED.value:,} objects below {prefix!r}",
                    hint="Begin the path with more folders: orders/${date}/*.csv",
                )
            self._ctx.wait(0)
        return found

    def put(self, path: str, file: Path) -> None:
        """Store a file."""
        import obstore

        self._call(lambda: obstore.put(self._store, path, file))

    def _copy(self, path: str, target: Path) -> None:
        import obstore

        def copy() -> None:
            with target.open("wb") as out:
                for block in obstore.get(self._store, path).stream():
                    out.write(block)
                    self._ctx.wait(0)

        self._call(copy)

    def _call(self, work: Any) -> Any:
        return self._gate.call(self._ctx, lambda: self._told(work))

    def _told(self, work: Any) -> Any:
        with self._telling():
            return work()

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell errors of the store, whose words hold the whole exchange."""
        from obstore import exceptions

        at = f"the connection {self._name!r}"
        try:
            yield
        except (exceptions.BaseError, OSError) as error:
            status = _STATUS.search(str(error))
            if self._proxy.refused or (status and status[1].startswith("3")):
                raise SourceRefused(
                    f"{at}: it answered with what leads to another place, to which its keys do not belong",
                    hint="Put where it leads to into the connection's endpoint; redirects are not followed.",
                ) from None
            if isinstance(error, FileNotFoundError) or (status and status[1] == "404"):
                raise SourceRefused(
                    f"{at}: the bucket or the object is not there", hint="Look at their names."
                ) from None
            if status and status[1] in ("400", "401", "403"):
                raise SourceRefused(
                    f"{at}: it answered {status[1]}: these keys may not do that",
                    hint="Look at key_id, secret_key and region, and at the bucket's policy.",
                ) from None
            raise DestinationUnavailable(
                f"{at}: the store failed ({status[1] if status else type(error).__name__})",
                hint="Look at its endpoint; then resume the run.",
            ) from None


def _open(settings: S3Settings, endpoint: str, *, proxy_url: str) -> Any:
    from obstore.store import S3Store

    anonymous = settings.key_id is None
    keys: Any = {
        "access_key_id": settings.key_id,
        "secret_access_key": settings.secret_key,
        "token": None,
        "expires_at": None,
    }
    return S3Store(
        settings.bucket,
        prefix=settings.prefix.strip("/") or None,
        region=settings.region,
        endpoint=endpoint,
        skip_signature=anonymous,
        virtual_hosted_style_request=False,
        credential_provider=None if anonymous else lambda: keys,
        client_options={
            "proxy_url": proxy_url,
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=10),
            "timeout": timedelta(seconds=limits.SOURCE_REQUEST.value),
        },
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
    )
