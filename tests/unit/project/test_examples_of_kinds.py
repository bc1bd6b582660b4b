"""The example on the page of each kind of task and connection is one that a project may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock.project.init_template import new_project
from penstock.wiring.folder import check_files

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
PAGES = sorted([*(REFERENCE / "task-kinds").glob("*.md"), *(REFERENCE / "connections").glob("*.md")])
MORE = {
    "scripts/guard.py": b"def process(data):\n    return data\n",
    "expectations/orders.json": b'{"name": "orders", "expectations": []}',
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_example_of_a_kind_is_valid(page: Path):
    example = re.search(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert example, "the page has no example"
    files = {**new_project("shop"), **MORE}
    if page.parent.name == "connections":
        files["penstock.yml"] = f"name: shop\n{example[1]}".encode()
        files["pipelines/sales.yml"] = b"tasks: {one: {kind: sql, sql: SELECT 1 AS one, to: marts.one}}\n"
    else:
        manifest = "name: shop\nconnections:\n"
        for name in ("warehouse", "reports"):
            manifest += f"  {name}: {{ kind: files, path: {name} }}\n"
        files["penstock.yml"] = manifest.encode()
        files["pipelines/sales.yml"] = (
            f"tasks:\n{re.sub('^', '  ', example[1].rstrip(), flags=re.MULTILINE)}\n".encode()
        )
    check_files(files)
