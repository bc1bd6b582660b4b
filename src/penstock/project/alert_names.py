"""Where a project's alerts go, and the names by which pipelines tell: looked at when the project is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from penstock.base.nearest import nearest
from penstock.core.projects import ProjectProblem
from penstock.project.secret_references import problems_of_connection
from penstock.project.yaml_trees import Tree

_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://.+|\$\{secret:[^}]*\}", re.IGNORECASE)
# Services whose URL is made of what proves who sends.
_TOKENS: Final = frozenset(
    ["slack", "discord", "gchat", "msteams", "opsgenie", "pagerduty", "teams", "tgram", "webexteams", "workflows"]
)


def problems_of_urls(alerts: Mapping[str, str], tree: Tree) -> Iterator[ProjectProblem]:
    """Yield what is wrong with the URLs under `alerts` in the manifest."""
    for name, url in alerts.items():
        if not isinstance(url, str):  # which is told already
            continue
        place = tree.place(("alerts", name))
        yield from problems_of_connection("alerts", {name: url}, tree, ("alerts",))
        if not _URL.fullmatch(url):
            hint = "Write slack://..., mailtos://..., jsons://..., or the name of a secret that holds such a URL."
            yield ProjectProblem("project_invalid", f"{name}: this is no URL of a service", place, hint)
        elif url.partition("://")[0].lower() in _TOKENS and "${secret:" not in url:
            secret = f"{name.upper().replace('-', '_')}_URL"
            hint = (
                f"Write ${{secret:{secret}}} in its place, and give Penstock the value: penstock secrets put {secret}"
            )
            yield ProjectProblem("secret_in_project", f"{name}: a token stands here in plain text", place, hint)


def problems_of_names(told: Iterable[str], known: Mapping[str, str], tree: Tree) -> Iterator[ProjectProblem]:
    """Yield the names under `alerts` in a pipeline that the manifest does not have."""
    for index, name in enumerate(told):
        if name not in known:
            hint = f"{nearest(name, known)} See alerts: in penstock.yml."
            place = tree.place(("alerts", index))
            yield ProjectProblem("project_invalid", f"nobody is known as {name!r} to be alerted", place, hint)
