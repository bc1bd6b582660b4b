"""Why a record can fail: a sentence for each code, which holds no value of any record."""

from __future__ import annotations

from typing import Final

SENTENCES: Final = {
    "script_error": "the script raised an exception",
    "output_invalid": "the script returned what is no record, or holds what JSON has no form for",
    "limit_wall": "the wall time limit of the chunk was reached",
    "limit_cpu": "the CPU time limit of the chunk was reached",
    "limit_memory": "the memory limit was reached",
    "limit_output": "the output limit of the chunk was reached",
    "limit_recursion": "the recursion limit was reached",
    "crashed": "the record crashed its process",
    "forbidden_call": "the kernel stopped a system call that scripts may not make",
    "no_result": "the process ended without a result",
    "reply_forged": "the process gave a result that does not add up",
    "chunk_failed": "too many records of the chunk ended their process",
    "record_too_large": "the record is larger than a chunk may be",
    "csv_record_invalid": "the row is not valid CSV, or does not fit the header",
    "input_schema": "the record does not fit the version's input schema",
    "output_schema": "the script returned a record that does not fit the version's output schema",
    "ndjson_record_invalid": "the line is not a JSON object",
}
