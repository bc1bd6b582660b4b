"""Projects of any size, made for benchmarks: SQL tasks that read each other's tables, each with a file of its own."""

from __future__ import annotations

from typing import Final

MANIFEST: Final = b"name: bench\ndescription: Made to be measured.\npools: { few: 2 }\n"


def project(*, pipelines: int, tasks: int) -> dict[str, bytes]:
    """Return the files of a project.

    Args:
        pipelines: how many files in `pipelines/`.
        tasks: in each of them; each but the first reads the tables of the two before.
    """
    files = {"penstock.yml": MANIFEST}
    for number in range(pipelines):
        lines = [f"description: Pipeline {number}.", "schedule: { cron: '0 2 * * *', timezone: America/Sao_Paulo }"]
        lines.append("tasks:")
        for task in range(tasks):
            lines += _task(number, task)
            files[f"sql/p{number}/t{task}.sql"] = _query(task)
        files[f"pipelines/p{number}.yml"] = "\n".join([*lines, ""]).encode()
    return files


def _task(number: int, task: int) -> list[str]:
    before = "".join(f"a{each}: layer{number}.t{each}, " for each in range(max(0, task - 2), task))
    return [
        f"  t{task}:",
        "    kind: sql",
        f"    file: sql/p{number}/t{task}.sql",
        f"    from: {{ {before.removesuffix(', ')} }}",
        f"    to: layer{number}.t{task}",
        "    retries: 2",
        "    timeout: 10m",
        "    pool: few",
    ]


def _query(task: int) -> bytes:
    if task == 0:
        return b"SELECT 1 AS id, '${date}' AS day\n"
    return f"-- the task before, once more\nSELECT id, day FROM a{task - 1}\nWHERE day = '${{date}}'\n".encode()
