"""Kinds of tasks: the folder is the registry, and packages may bring more."""

from importlib.metadata import EntryPoint
from typing import Any

from penstock import tasks
from penstock.checks.judging import GxSuites

KINDS = tasks.run_kinds(suites=GxSuites(), connectors={})


class Other:
    """A kind of somebody else's."""

    def __init__(self) -> None:
        self.suites: Any = None


def test_every_kind_says_what_is_asked_of_one():
    assert {"call", "expectations", "export", "ingest", "script", "sql"} <= set(KINDS)
    for kind in KINDS.values():
        assert kind.Spec.__doc__
        assert isinstance(kind.follows_publish, bool)
        assert isinstance(kind.publishes, bool)
        for method in ("reads", "writes", "code", "problems", "run"):
            assert callable(getattr(kind, method))


def test_every_field_of_every_kind_is_described_and_forbids_others():
    for name, kind in KINDS.items():
        assert kind.Spec.model_config.get("extra") == "forbid", name
        for field, info in kind.Spec.model_fields.items():
            assert info.description, f"{name}.{field}"


def test_a_package_may_bring_a_kind_and_cannot_replace_ours(monkeypatch):
    points = [
        EntryPoint("other", "tests.unit.tasks.test_registry:OTHER", tasks.ENTRY_POINTS),
        EntryPoint("sql", "tests.unit.tasks.test_registry:OTHER", tasks.ENTRY_POINTS),
    ]
    monkeypatch.setattr(tasks, "entry_points", lambda group: points if group == tasks.ENTRY_POINTS else [])
    found = tasks.run_kinds(suites=GxSuites(), connectors={})
    assert isinstance(found["other"], Other)
    assert not isinstance(found["sql"], Other)


OTHER = Other()
