"""Which files can be those of a project: names that lead nowhere else, within bounds. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from penstock.core import limits
from penstock.core.errors import RequestInvalid, TooLarge

_MIB: Final = 2**20
_NAMED: Final = 20  # so many of what is wrong are said


def check_project_files(files: Mapping[str, bytes]) -> None:
    """Return when files can be those of a project: every name is a path downwards, and all is within bounds.

    Raises:
        RequestInvalid: naming each path that is not one.
        TooLarge: when there are too many, or they are too large together.
    """
    if len(files) > limits.PROJECT_FILES.value:
        raise TooLarge(
            f"a project has {limits.PROJECT_FILES.value:,} files at most, not {len(files):,}",
            hint="Keep data out of the project: list it in .gitignore.",
        )
    size_bytes = sum(len(content) for content in files.values())
    if size_bytes > limits.PROJECT_BYTES.value * _MIB:
        largest = sorted(files, key=lambda name: len(files[name]), reverse=True)[:3]
        raise TooLarge(
            f"a project's files have {limits.PROJECT_BYTES.value} MiB at most together, not {size_bytes / _MIB:,.1f};"
            f" the largest are {', '.join(name[:100] for name in largest)}",
            hint="Keep data out of the project: list it in .gitignore.",
        )
    problems = [{"place": name[:200], "message": why} for name in files if (why := _wrong(name, files))]
    if problems:
        raise RequestInvalid(
            f"{problems[0]['place']!r} {problems[0]['message']}",
            hint="Name files from the project's folder downwards, such as pipelines/sales.yml.",
            problems=problems[:_NAMED],
        )


def changes(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Return the names of the files that were added, changed and removed."""
    return {
        "added": sorted(after.keys() - before.keys()),
        "changed": sorted(name for name in before.keys() & after.keys() if before[name] != after[name]),
        "removed": sorted(before.keys() - after.keys()),
    }


def _wrong(name: str, files: Mapping[str, bytes]) -> str:
    """Return what is wrong with a path; nothing when it is fine."""
    parts = name.split("/")
    if len(name.encode("utf-8", "surrogatepass")) > limits.PROJECT_PATH.value:
        return f"is longer than {limits.PROJECT_PATH.value} bytes"
    if not name.isprintable() or "\\" in name:
        return "has characters that no path of a project has"
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts):
        return "is not a path from the project's folder downwards"
    if parts[0] in (".penstock", ".git"):
        return "is not part of a project"
    if any("/".join(parts[:length]) in files for length in range(1, len(parts))):
        return "lies in a folder that is a file, too"
    return ""
