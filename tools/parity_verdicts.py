"""Writes what the real Great Expectations says of each case, or checks what was written: run in its own environment.

tools/parity            make the environment, and compare
tools/parity --write    ... and write tests/parity/cases/verdicts.json
"""

import json
import logging
import math
import os
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")
logging.disable(logging.ERROR)
os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx  # noqa: E402  # after the settings above
import pandas as pd  # noqa: E402  # after the settings above
from great_expectations.expectations.registry import get_expectation_impl  # noqa: E402  # after the settings above

from tests.parity import expectation_cases  # noqa: E402  # after the settings above


def main(*, write: bool) -> int:
    """Compare or write; return the exit code."""
    found = verdicts()
    if write:
        versions = {"great_expectations": gx.__version__, "pandas": pd.__version__}
        document = {"made_by": versions, "verdicts": found}
        expectation_cases.VERDICTS.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(f"{len(found)} verdicts written")
        return 0
    known = expectation_cases.verdicts()
    wrong = [name for name in found if known.get(name, {}).get("success") != found[name]["success"]]
    for name in wrong:
        print(f"{name}: written {known.get(name)}, found {found[name]}")
    print(f"{len(found)} cases, {len(wrong)} differ from what is written")
    return bool(wrong)


def verdicts() -> dict[str, Any]:
    """Return what Great Expectations says, by the names of cases."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("cases")
    batches = {}
    for name, (_, table) in expectation_cases.tables().items():
        definition = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        batches[name] = definition.get_batch({"dataframe": table.to_pandas(date_as_object=False)})
    return {case.name: verdict(batches[case.table], case) for case in expectation_cases.cases()}


def verdict(batch: Any, case: expectation_cases.Case) -> dict[str, Any]:
    """Return the verdict on one case."""
    try:
        expectation = get_expectation_impl(case.type)(**case.kwargs)
        found = batch.validate(expectation, result_format="BASIC")
    except Exception as error:  # noqa: BLE001  # some refusals come as exceptions, which is what is to be written down
        return {"success": False, "exception": type(error).__name__}
    raised = json.dumps(found.exception_info, default=str)
    result = {name: found.result.get(name) for name in ("element_count", "unexpected_count", "observed_value")}
    kept = {name: value for name, value in result.items() if isinstance(value, int | float) and math.isfinite(value)}
    if '"raised_exception": true' in raised:
        return {"success": bool(found.success), "exception": "raised"}
    return {"success": bool(found.success), **{name: float(value) for name, value in kept.items()}}


if __name__ == "__main__":
    sys.exit(main(write="--write" in sys.argv[1:]))
