"""Scripts: push versions, try, publish, activate and end them; approvals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from urllib.parse import quote

import orjson

from penstock.client.transport import Transport
from penstock.core.errors import NotFound

_PUBLISH_TIMEOUT_S: Final = 150.0  # its examples may take a minute, and it may wait for a place
_TRY_TIMEOUT_S: Final = 60.0
_TYPES: Final = {"ndjson": "application/x-ndjson", "json": "application/json", "csv": "text/csv"}


@dataclass(frozen=True, slots=True)
class Script:
    """A script.

    Attributes:
        active: the number of the version that `active` stands for, None while there is none.
        shown: everything that the server said.
    """

    id: str
    name: str
    language: str
    description: str
    active: str | None
    shown: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a script.

    Attributes:
        number: its semantic version.
        asks: what it wants beyond the default, and so needs an approval for; empty in a list.
        shown: everything that the server said.
    """

    id: str
    script: str
    number: str
    state: Literal["draft", "published", "deprecated", "revoked"]
    hash: str
    asks: Sequence[str]
    shown: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a sample.

    Attributes:
        output: the output records.
        dead_letters: the records that failed, with their errors.
        counts: records, produced, dropped, failed, rows.
        shown: everything that the server said.
    """

    output: Sequence[Any]
    dead_letters: Sequence[Any]
    counts: Mapping[str, int]
    printed: str
    elapsed_s: float
    shown: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Approval:
    """Who asked that a version may go beyond the default, and what was decided."""

    id: str
    version_id: str
    state: Literal["waiting", "approved", "refused", "overridden", "lapsed"]
    asks: Sequence[str]
    shown: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a push.

    Attributes:
        created: whether the version is new; else a draft was changed.
        same_as: the newest published version, when the draft does exactly what that does.
    """

    version: Version
    created: bool
    same_as: Version | None = None


class Scripts:
    """The scripts of a workspace."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    # ---- reading ----

    def list(self, *, limit: int | None = None) -> Iterator[Script]:
        """Yield scripts by name, page after page."""
        return map(_script, self._transport.pages("/scripts", limit=limit))

    def read(self, script: str) -> Script:
        """Return a script by name or id.

        Raises:
            NotFound: when there is none; the hint names the nearest.
        """
        return _script(self._transport.request("GET", _path(script)))

    def versions(self, script: str, *, limit: int | None = None) -> Iterator[Version]:
        """Yield versions, the newest first, without their schemas and examples."""
        return map(_version, self._transport.pages(f"{_path(script)}/versions", limit=limit))

    def read_version(self, script: str, version: str) -> Version:
        """Return a version by its number or id, or `active`."""
        return _version(self._transport.request("GET", _path(script, version)))

    def newest(self, script: str, *, state: str | None = None) -> Version | None:
        """Return the newest version, or the newest in a state; None when there is none."""
        return next((one for one in self.versions(script) if state in (None, one.state)), None)

    def code(self, script: str, version: str) -> bytes:
        """Return the code of a version."""
        with self._transport.stream("GET", f"{_path(script, version)}/code") as response:
            return response.read()

    def diff(self, script: str, before: str, after: str) -> Mapping[str, Any]:
        """Return how one version differs from another: `code`, a unified diff, and `changes`."""
        found: dict[str, Any] = self._transport.request(
            "GET", f"{_path(script)}/diff", query={"from": before, "to": after}
        )
        return found

    # ---- writing ----

    def create(
        self,
        name: str,
        *,
        language: str = "python",
        description: str = "",
        first: Mapping[str, Any] | None = None,
        number: str | None = None,
    ) -> Script:
        """Make a script, still without versions, or with its first draft; then both are made, or neither.

        Args:
            name: what it is called.
            language: of every version of it.
            description: what it is for.
            first: the content of its first draft, as the API takes it.
            number: the semantic version of that; None for 1.0.0.
        """
        draft = None if first is None else {**first, "version": number}
        body = {"name": name, "language": language, "description": description, "first_version": draft}
        return _script(self._transport.request("POST", "/scripts", json=body))

    def add_version(self, script: str, content: Mapping[str, Any], *, number: str | None = None) -> Version:
        """Add a draft.

        Args:
            script: name or id.
            content: code, profile, tier, limits, input_schema, output_schema, examples, as the API takes them.
            number: its semantic version; None for the next patch.
        """
        body = {**content, "version": number}
        return _version(self._transport.request("POST", f"{_path(script)}/versions", json=body))

    def change_draft(self, script: str, version: str, content: Mapping[str, Any]) -> Version:
        """Put other content into a draft."""
        return _version(self._transport.request("PUT", _path(script, version), json=dict(content)))

    def push(
        self,
        name: str,
        content: Mapping[str, Any],
        *,
        number: str | None = None,
        language: str = "python",
        description: str = "",
    ) -> Pushed:
        """Make a script if there is none of that name, and bring content into a draft of it.

        Without a number, the newest version is changed while it is a draft; else a new one is made, also of what is
        published already: examples may differ, and `same_as` says so.
        """
        pushed = self._push(name, content, number, language, description)
        published = self.newest(name, state="published")
        same = published is not None and published.hash == pushed.version.hash
        return replace(pushed, same_as=published if same else None)

    def _push(
        self, name: str, content: Mapping[str, Any], number: str | None, language: str, description: str
    ) -> Pushed:
        try:
            newest = self.newest(name)
        except NotFound:
            self.create(name, language=language, description=description, first=content, number=number)
            made = self.newest(name)
            assert made is not None, "it was made with the script"
            return Pushed(self.read_version(name, made.number), created=True)
        if number is None and newest is not None and newest.state == "draft":
            return Pushed(self.change_draft(name, newest.number, content), created=False)
        if number is not None and newest is not None:
            same = next((one for one in self.versions(name) if one.number == number), None)
            if same is not None and same.state == "draft":
                return Pushed(self.change_draft(name, number, content), created=False)
        return Pushed(self.add_version(name, content, number=number), created=True)

    def try_(self, script: str, version: str, sample: bytes, *, data_format: str = "ndjson") -> Trial:
        """Run a version, a draft too, on up to 1,000 records at once."""
        with self._transport.stream(
            "POST",
            f"{_path(script, version)}/try",
            query={"format": data_format},
            content=sample,
            headers={"Content-Type": _TYPES[data_format]},
            timeout_s=_TRY_TIMEOUT_S,
        ) as response:
            return _trial(orjson.loads(response.read()))

    # ---- what becomes of it ----

    def publish(self, script: str, version: str) -> Version:
        """Fix a draft for ever, once it compiles and does what its examples say."""
        path = f"{_path(script, version)}/publish"
        return _version(self._transport.request("PATCH", path, timeout_s=_PUBLISH_TIMEOUT_S))

    def activate(self, script: str, version: str) -> Script:
        """Let `active` stand for a version."""
        return _script(self._transport.request("PATCH", f"{_path(script, version)}/activate"))

    def rollback(self, script: str) -> Script:
        """Activate the version before; again, and it goes further back."""
        return _script(self._transport.request("POST", f"{_path(script)}/rollback"))

    def deprecate(self, script: str, version: str, *, reason: str = "") -> Version:
        """Keep ranges from choosing a version while another fits."""
        path = f"{_path(script, version)}/deprecate"
        return _version(self._transport.request("PATCH", path, json={"reason": reason}))

    def revoke(self, script: str, version: str, *, reason: str = "") -> Version:
        """End a version for good."""
        path = f"{_path(script, version)}/revoke"
        return _version(self._transport.request("PATCH", path, json={"reason": reason}))

    def bound(self, script: str, *, running_max: int | None) -> Script:
        """Let so many attempts of a script's jobs run at once, None for as many as its workspace may."""
        return _script(self._transport.request("PATCH", _path(script), json={"running_max": running_max}))

    def resume(self, script: str) -> bool:
        """Let jobs of a paused script run again; return whether it was paused."""
        return bool(self._transport.request("POST", f"{_path(script)}/resume")["resumed"])

    # ---- approvals ----

    def approvals(self, *, state: str | None = None, limit: int | None = None) -> Iterator[Approval]:
        """Yield approvals, the newest first, page after page."""
        return map(_approval, self._transport.pages("/approvals", query={"state": state}, limit=limit))

    def ask(self, script: str, version: str, *, reason: str) -> Approval:
        """Ask that a draft may go beyond the default."""
        path = f"{_path(script, version)}/approval"
        return _approval(self._transport.request("POST", path, json={"reason": reason}))

    def decide(
        self, approval: str, decision: Literal["approve", "refuse", "override"], *, reason: str = ""
    ) -> Approval:
        """Approve or refuse as a second person, or override as the only one."""
        path = f"/approvals/{quote(approval, safe='')}/{decision}"
        return _approval(self._transport.request("POST", path, json={"reason": reason}))


def _path(script: str, version: str | None = None) -> str:
    path = f"/scripts/{quote(script, safe='')}"
    return path if version is None else f"{path}/versions/{quote(version, safe='')}"


def _script(shown: Mapping[str, Any]) -> Script:
    return Script(
        shown["id"],
        shown["name"],
        shown["language"],
        shown["description"],
        active=shown["active_version"],
        shown=shown,
    )


def _version(shown: Mapping[str, Any]) -> Version:
    return Version(
        shown["id"],
        shown["script"],
        shown["version"],
        shown["state"],
        shown["hash"],
        asks=shown.get("asks", ()),
        shown=shown,
    )


def _trial(shown: Mapping[str, Any]) -> Trial:
    return Trial(
        _records(shown["output"]),
        _records(shown["dead_letters"]),
        {name: shown[name] for name in ("records", "produced", "dropped", "failed", "rows")},
        printed=shown["printed"],
        elapsed_s=shown["elapsed_s"],
        shown=shown,
    )


def _records(lines: str) -> Sequence[Any]:
    return [orjson.loads(line) for line in lines.split("\n") if line]


def _approval(shown: Mapping[str, Any]) -> Approval:
    return Approval(shown["id"], shown["version_id"], shown["state"], shown["asks"], shown=shown)
