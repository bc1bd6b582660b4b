"""Scripts and their versions: write, try, publish, activate, roll back, end.

Whatever changes a script holds its row until the transaction ends, so that two people at once cannot publish a draft
and change it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from penstock.base.ids import new_id
from penstock.core import limits
from penstock.core.access import Actor, AuditEvent
from penstock.core.errors import BlobsUnavailable, Conflict, TooMany
from penstock.core.jobs import BlobPointer, Lane, ScriptId, VersionId
from penstock.core.ports import Audit, Blobs, Clock, Database, Queue, ScriptRecords
from penstock.core.ports.access import QuotaBook
from penstock.core.scripts import Language, Profile, ScriptLimits, Tier
from penstock.core.version_numbers import next_number, parse_number
from penstock.core.version_rules import changes, check_content, needs_approval, stored_bytes
from penstock.core.versions import (
    Activation,
    Example,
    Script,
    Standing,
    Version,
    VersionState,
    check_draft,
    check_move,
    check_name,
    check_runnable,
    one_before,
    script_version,
    version_hash,
)
from penstock.usecases.permissions import require
from penstock.usecases.trials import Sample, Trial, Trials


@dataclass(frozen=True, slots=True)
class Content:
    """What a version consists of.

    Attributes:
        profile: None for the language's own: `std`, or `js`.
    """

    code: bytes
    profile: Profile | None = None
    tier: Tier = "isolated"
    limits: ScriptLimits = field(default_factory=ScriptLimits)
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """How two versions differ: a unified diff of their code, and (name, from, to) of every other thing."""

    before: Version
    after: Version
    code: str
    settings: Sequence[tuple[str, Any, Any]]


@dataclass(frozen=True, slots=True)
class Scripts:
    """What can be asked of scripts."""

    database: Database
    records: ScriptRecords
    blobs: Blobs
    queue: Queue
    quotas: QuotaBook
    audit: Audit
    trials: Trials
    clock: Clock

    # ---- reading ----

    def list(self, *, after: str | None = None, limit: int = 50, actor: Actor) -> Sequence[Script]:
        """Return scripts by name, those after a name."""
        require(actor, "scripts:read")
        with self.database.read() as tx:
            return self.records.list_scripts(tx, actor.workspace, after=after, limit=limit)

    def read(self, script: str, *, actor: Actor) -> Script:
        """Return a script by name or id.

        Raises:
            NotFound: when there is none; the hint names the nearest.
        """
        require(actor, "scripts:read")
        with self.database.read() as tx:
            return self.records.find_script(tx, actor.workspace, script)

    def standing(self, script: str, *, actor: Actor) -> Standing:
        """Return a script, how many of it may run at once, and whether it is paused."""
        require(actor, "scripts:read")
        with self.database.read() as tx:
            return self._standing(tx, self.records.find_script(tx, actor.workspace, script))

    def versions(
        self, script: str, *, before: str | None = None, limit: int = 50, actor: Actor
    ) -> tuple[Script, Sequence[Version]]:
        """Return a script and its versions, the newest first, those before an id."""
        require(actor, "scripts:read")
        with self.database.read() as tx:
            found = self.records.find_script(tx, actor.workspace, script)
            return found, self.records.list_versions(tx, found, before=before, limit=limit)

    def read_version(self, script: str, number: str, *, actor: Actor) -> Version:
        """Return a version by its number, its id, or the word `active`."""
        require(actor, "scripts:read")
        with self.database.read() as tx:
            return self._find(tx, script, number, actor=actor)[1]

    def code(self, script: str, number: str, *, actor: Actor) -> bytes:
        """Return the code of a version."""
        return self._load(self.read_version(script, number, actor=actor))

    def diff(self, script: str, *, before: str, after: str, actor: Actor) -> Difference:
        """Return how one version differs from another."""
        require(actor, "scripts:read")
        with self.database.read() as tx:
            pair = [self._find(tx, script, number, actor=actor)[1] for number in (before, after)]
        names = (f"{pair[0].script_name}@{pair[0].number}", f"{pair[1].script_name}@{pair[1].number}")
        compared = ""
        if pair[0].code.sha256 != pair[1].code.sha256:
            codes = self._load(pair[0]), self._load(pair[1])
            compared = self.trials.compare(*codes, names=names, workspace=actor.workspace)
        return Difference(pair[0], pair[1], compared, changes(*pair))

    # ---- writing ----

    def create(
        self,
        name: str,
        *,
        language: Language = "python",
        description: str = "",
        first: Content | None = None,
        number: str | None = None,
        actor: Actor,
    ) -> Script:
        """Make a script: still without versions, or with its first draft, and then both or neither.

        Args:
            name: what it is called.
            language: of every version of it.
            description: what it is for.
            first: what its first draft consists of.
            number: the semantic version of that; None for 1.0.0.
            actor: who asks.

        Raises:
            Conflict: when the name is taken.
            RequestInvalid: when it is no name, or the draft could not be one.
        """
        require(actor, "scripts:write")
        check_name(name)
        wanted = number and str(parse_number(number))
        script = Script(
            id=ScriptId(new_id("scr")),
            workspace=actor.workspace,
            name=name,
            description=description,
            language=language,
            active=None,
            created_at=self.clock(),
            created_by=actor.member,
        )
        code = None if first is None else self._store(script, first, actor=actor)

        def record(tx: Any) -> Script:
            if self.records.count_scripts(tx, actor.workspace) >= limits.SCRIPTS.value:
                raise TooMany(
                    f"the workspace has {limits.SCRIPTS.value:,} scripts, and no more fit",
                    hint="Push versions of those there are.",
                )
            self.records.insert_script(tx, script)
            self._note(tx, "script.create", script.id, actor=actor, name=name)
            if first is not None and code is not None:
                self._insert_draft(tx, self._draft(script, first, code, wanted or next_number([]), actor=actor), actor)
            return script

        return self.database.write(record)

    def add_version(self, script: str, content: Content, *, number: str | None = None, actor: Actor) -> Version:
        """Add a draft.

        Args:
            script: name or id.
            content: what it consists of.
            number: its semantic version; None for the next patch.
            actor: who asks.

        Raises:
            Conflict: when there is a version of that number.
            RequestInvalid: when the number, a limit, a schema or an example is not valid.
        """
        require(actor, "scripts:write")
        wanted = number and str(parse_number(number))
        found = self.read(script, actor=actor)
        code = self._store(found, content, actor=actor)

        def record(tx: Any) -> Version:
            held = self.records.find_script(tx, actor.workspace, found.id, lock=True)
            numbers = self.records.numbers(tx, held)
            if len(numbers) >= limits.VERSIONS.value:
                raise TooMany(
                    f"{held.name} has {limits.VERSIONS.value:,} versions, and no more fit",
                    hint="Change a draft instead, or make another script.",
                )
            version = self._draft(held, content, code, wanted or next_number(numbers), actor=actor)
            return self._insert_draft(tx, version, actor)

        return self.database.write(record)

    def change_draft(self, script: str, number: str, content: Content, *, actor: Actor) -> Version:
        """Put other content into a draft.

        Raises:
            Conflict: when it is no draft any more.
        """
        require(actor, "scripts:write")
        draft = self.read_version(script, number, actor=actor)
        check_draft(draft)
        code = self._store(self.read(script, actor=actor), content, actor=actor)

        def record(tx: Any) -> Version:
            held, current = self._find(tx, script, draft.id, lock=True, actor=actor)
            check_draft(current)
            made = self._draft(held, content, code, current.number, actor=actor)
            changed = replace(made, id=current.id, created_at=current.created_at, created_by=current.created_by)
            self._count(tx, changed, current)
            self.records.save_version(tx, changed)
            if changed.hash != current.hash:
                self.records.lapse_approvals(tx, changed, now=changed.updated_at)
            self._note(tx, "version.change", changed.id, actor=actor, **_facts(changed))
            return changed

        return self.database.write(record)

    def try_(self, script: str, number: str, sample: Sample, *, actor: Actor) -> Trial:
        """Run a version, a draft too, on a few records at once, and return what comes out.

        Raises:
            VersionRevoked: when nothing may run on it any more.
            TooLarge: when there are more records or bytes than can be waited for.
            ScriptRejected: when it cannot be compiled.
            ScriptFailed: when its top level fails.
        """
        require(actor, "scripts:write")
        version = self.read_version(script, number, actor=actor)
        if version.state == "revoked":
            check_runnable(version)
        trial = self.trials.run(script_version(version, self._load(version)), sample, workspace=actor.workspace)
        counts = trial.counts

        def record(tx: Any) -> None:
            self._note(tx, "version.try", version.id, actor=actor, records=counts.records, failed=counts.failed)

        self.database.write(record)
        return trial

    # ---- what becomes of a version ----

    def publish(self, script: str, number: str, *, actor: Actor) -> Version:
        """Fix a draft for ever, once it compiles and does what its examples say.

        Raises:
            Conflict: when it is no draft, or changed meanwhile.
            ApprovalNeeded: when it asks for more than the default and nobody has approved this content.
            ScriptRejected: when it does not compile.
            ExamplesFailed: when an example gives something else.
        """
        require(actor, "scripts:publish")
        with self.database.read() as tx:
            draft = self._find(tx, script, number, actor=actor)[1]
            self._check_publishable(tx, draft)
        compiled = script_version(draft, self._load(draft))
        self.trials.check_examples(compiled, draft.examples, workspace=actor.workspace)

        def record(tx: Any) -> Version:
            current = self._find(tx, script, draft.id, lock=True, actor=actor)[1]
            if current != draft:
                raise Conflict(
                    f"version {draft.number} of {draft.script_name} was changed while its examples ran",
                    hint="Look at what it is now, and publish again.",
                )
            self._check_publishable(tx, current)
            now = self.clock()
            published = replace(current, state="published", published_at=now, published_by=actor.member)
            self.records.save_version(tx, published)
            self._note(tx, "version.publish", published.id, actor=actor, **_facts(published))
            return published

        return self.database.write(record)

    def activate(self, script: str, number: str, *, actor: Actor) -> Script:
        """Let `active` stand for a version; nothing happens when it does already.

        Raises:
            Conflict: when it is a draft, or revoked.
        """
        require(actor, "scripts:publish")

        def record(tx: Any) -> Script:
            held, version = self._find(tx, script, number, lock=True, actor=actor)
            check_runnable(version)
            if held.active == version.id:
                return held
            activation = Activation(version.id, "activate", at=self.clock(), by=actor.member)
            self.records.activate(tx, held, activation)
            self._note(tx, "version.activate", version.id, actor=actor, script=held.name, number=version.number)
            return replace(held, active=version.id, active_number=version.number)

        return self.database.write(record)

    def rollback(self, script: str, *, actor: Actor) -> Script:
        """Let `active` stand for the version before; again, and it goes further back. Revoked ones are passed over.

        Raises:
            Conflict: when there is none before.
        """
        require(actor, "scripts:publish")

        def record(tx: Any) -> Script:
            held = self.records.find_script(tx, actor.workspace, script, lock=True)
            target = one_before(self.records.activations(tx, held), self.records.states(tx, held))
            if target is None:
                raise Conflict(
                    f"{held.name} has no active version before {held.active_number or 'this'} to go back to",
                    hint="Activate one by its number.",
                )
            version = self.records.find_version(tx, held, target)
            self.records.activate(tx, held, Activation(target, "rollback", at=self.clock(), by=actor.member))
            numbers = {"from": held.active_number, "number": version.number}
            self._note(tx, "version.rollback", target, actor=actor, script=held.name, **numbers)
            return replace(held, active=target, active_number=version.number)

        return self.database.write(record)

    def deprecate(self, script: str, number: str, *, reason: str = "", actor: Actor) -> Version:
        """Keep ranges from choosing a version while another fits; named exactly, or as `active`, it still runs."""
        return self._end(script, number, "deprecated", reason=reason, actor=actor)

    def revoke(self, script: str, number: str, *, reason: str = "", actor: Actor) -> Version:
        """End a version for good.

        Nothing starts on it any more: jobs that wait for it fail with `version_revoked`. What runs goes on to its end.
        When it is the active one, the script has none until another is activated, or rolled back to.
        """
        return self._end(script, number, "revoked", reason=reason, actor=actor)

    def bound(self, script: str, *, running_max: int | None, actor: Actor) -> Standing:
        """Let so many attempts of a script's jobs run at once, None for as many as its workspace may."""
        require(actor, "scripts:publish")

        def record(tx: Any) -> Standing:
            before = self._standing(tx, self.records.find_script(tx, actor.workspace, script, lock=True))
            bound = running_max or limits.LANE_RUNNING.value
            self.queue.bound_lane(tx, actor.workspace, Lane(before.script.id), running_max=bound)
            numbers = {"running_max_before": before.running_max, "running_max": running_max}
            self._note(tx, "script.change", before.script.id, actor=actor, **numbers)
            return replace(before, running_max=running_max)

        standing = self.database.write(record)
        self.queue.announce()
        return standing

    def resume(self, script: str, *, actor: Actor) -> bool:
        """Let jobs of a script run again that was paused after kills; return whether it was paused."""
        require(actor, "scripts:publish")

        def record(tx: Any) -> bool:
            found = self.records.find_script(tx, actor.workspace, script)
            resumed = self.queue.resume_lane(tx, actor.workspace, Lane(found.id))
            self._note(tx, "script.resume", found.id, actor=actor, was_paused=resumed)
            return resumed

        resumed = self.database.write(record)
        self.queue.announce()
        return resumed

    # ---- inside ----

    def _standing(self, tx: Any, script: Script) -> Standing:
        bound = self.queue.bound_of(tx, script.workspace, Lane(script.id))
        pause = self.queue.pause_of(tx, script.workspace, Lane(script.id))
        return Standing(script, bound if bound < limits.LANE_RUNNING.value else None, pause)

    def _end(self, script: str, number: str, state: VersionState, *, reason: str, actor: Actor) -> Version:
        require(actor, "scripts:publish")

        def record(tx: Any) -> Version:
            held, version = self._find(tx, script, number, lock=True, actor=actor)
            check_move(version, state)
            ended = replace(version, state=state, state_reason=reason or None, updated_at=self.clock())
            self.records.save_version(tx, ended)
            if state == "revoked" and held.active == version.id:
                self.records.deactivate(tx, held)
            action = "version.revoke" if state == "revoked" else "version.deprecate"
            was_active = held.active == version.id
            self._note(tx, action, version.id, actor=actor, number=version.number, was_active=was_active, reason=reason)
            return ended

        return self.database.write(record)

    def _find(self, tx: Any, script: str, number: str, *, lock: bool = False, actor: Actor) -> tuple[Script, Version]:
        found = self.records.find_script(tx, actor.workspace, script, lock=lock)
        return found, self.records.find_version(tx, found, number)

    def _check_publishable(self, tx: Any, version: Version) -> None:
        check_move(version, "published")
        needs_approval(version, self.records.approvals_of(tx, version))

    def _store(self, script: Script, content: Content, *, actor: Actor) -> BlobPointer:
        """Check what a version is to consist of, and keep its code under its hash."""
        draft = self._draft(script, content, BlobPointer("", len(content.code), ""), "0.0.0", actor=actor)
        check_content(draft)
        key = f"{actor.workspace}/code/{hashlib.sha256(content.code).hexdigest()}"
        return self.blobs.put(key, content.code)

    def _load(self, version: Version) -> bytes:
        code = b"".join(self.blobs.stream(version.code.key))
        if hashlib.sha256(code).hexdigest() != version.code.sha256:
            raise BlobsUnavailable(
                f"the code of {version.script_name}@{version.number} is damaged in the blob store",
                hint=f"Restore {version.code.key} from a backup, or push the script as a new version.",
            )
        return code

    def _draft(self, script: Script, content: Content, code: BlobPointer, number: str, *, actor: Actor) -> Version:
        now = self.clock()
        profile: Profile = content.profile or ("js" if script.language == "javascript" else "std")
        return Version(
            id=VersionId(new_id("ver")),
            workspace=actor.workspace,
            script=script.id,
            script_name=script.name,
            number=number,
            state="draft",
            language=script.language,
            profile=profile,
            tier=content.tier,
            code=code,
            hash=version_hash(
                code_sha256=code.sha256,
                language=script.language,
                profile=profile,
                tier=content.tier,
                bounds=content.limits,
                input_schema=content.input_schema,
                output_schema=content.output_schema,
            ),
            created_at=now,
            created_by=actor.member,
            updated_at=now,
            updated_by=actor.member,
            limits=content.limits,
            input_schema=content.input_schema,
            output_schema=content.output_schema,
            examples=content.examples,
        )

    def _insert_draft(self, tx: Any, version: Version, actor: Actor) -> Version:
        self._count(tx, version, None)
        self.records.insert_version(tx, version)
        self._note(tx, "version.create", version.id, actor=actor, **_facts(version))
        return version

    def _count(self, tx: Any, version: Version, before: Version | None) -> None:
        """Count the bytes that a version adds to what the workspace stores; code is kept once, and for ever."""
        new_code = 0 if self.records.knows_code(tx, version) else version.code.size_bytes
        more = new_code + stored_bytes(version) - (stored_bytes(before) if before else 0)
        if more > 0:
            self.quotas.check_size(tx, version.workspace, more)
        self.quotas.add_stored(tx, version.workspace, more)

    def _note(self, tx: Any, action: str, subject: str, *, actor: Actor, **details: str | int | bool | None) -> None:
        self.audit.record(tx, actor, AuditEvent(action, subject, details=details))


def _facts(version: Version) -> dict[str, str | int | bool | None]:
    return {"script": version.script_name, "number": version.number, "hash": version.hash}
