"""The files of a project's folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from penstock.core import limits
from penstock.core.errors import InputNotFound, InputUnreadable, TooLarge
from penstock.storage.project_folder import read_project_folder, untracked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "penstock.yml", "pipelines/sales.yml", "data/rows.csv", ".penstock/local/x.db", ".env", "new.tmp")
    (tmp_path / "__pycache__").mkdir()
    write(tmp_path, "__pycache__/x.pyc")
    (tmp_path / ".gitignore").write_text("# data\n/data/\n*.tmp\n")
    return tmp_path


def test_without_git_what_is_hidden_or_ignored_is_left_out(folder: Path):
    assert read_project_folder(folder) == {
        "penstock.yml": b"penstock.yml",
        "pipelines/sales.yml": b"pipelines/sales.yml",
    }
    assert untracked(folder) == ()


def test_with_git_a_run_takes_what_is_not_ignored_and_a_deploy_what_is_tracked(folder: Path):
    git(folder, "init", "-q")
    git(folder, "add", "penstock.yml", ".gitignore")
    (folder / ".gitignore").write_text("/data/\n*.tmp\n.penstock/\n.env\n__pycache__/\n")
    assert set(read_project_folder(folder)) == {".gitignore", "penstock.yml", "pipelines/sales.yml"}
    assert set(read_project_folder(folder, tracked=True)) == {".gitignore", "penstock.yml"}
    assert untracked(folder) == ["pipelines/sales.yml"]


def test_a_folder_that_a_repository_around_it_ignores_is_read_as_without_git(folder: Path, tmp_path: Path):
    git(tmp_path, "init", "-q")
    inside = tmp_path / "data"  # which .gitignore names
    write(inside, "penstock.yml", "pipelines/sales.yml")
    assert set(read_project_folder(inside)) == {"penstock.yml", "pipelines/sales.yml", "rows.csv"}


def test_a_file_that_git_knows_and_that_is_gone_is_not_there(folder: Path):
    git(folder, "init", "-q")
    git(folder, "add", "penstock.yml", "pipelines/sales.yml")
    (folder / "pipelines/sales.yml").unlink()
    assert set(read_project_folder(folder, tracked=True)) == {"penstock.yml"}


def test_a_manifest_that_git_does_not_track_is_said(folder: Path):
    git(folder, "init", "-q")
    with pytest.raises(InputNotFound, match="does not track"):
        read_project_folder(folder, tracked=True)


def test_a_folder_without_a_manifest_is_no_project(tmp_path: Path):
    with pytest.raises(InputNotFound, match=r"penstock\.yml") as refused:
        read_project_folder(tmp_path)
    assert "penstock init" in refused.value.hint


def test_a_link_is_refused_wherever_it_leads(folder: Path):
    os.symlink("/etc/hostname", folder / "scripts.py")
    with pytest.raises(InputUnreadable, match="not an ordinary file"):
        read_project_folder(folder)


def test_data_that_lies_in_the_project_is_named(folder: Path):
    with (folder / "huge.csv").open("wb") as file:
        file.truncate(limits.PROJECT_BYTES.value * 2**20 + 1)
    with pytest.raises(TooLarge, match=r"the largest are huge\.csv"):
        read_project_folder(folder)


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, timeout=30)
