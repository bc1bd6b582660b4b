"""What the journeys share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.command import KEEP, Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with a script that keeps every record."""
    folder = Folder(tmp_path)
    folder.write(keep_py=KEEP)
    return folder
