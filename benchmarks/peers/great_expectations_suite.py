"""A suite on a Parquet file by the real Great Expectations on pandas: seconds to import, to load and to validate."""

import json
import logging
import os
import sys
import time
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.ERROR)
os.environ["GX_ANALYTICS_ENABLED"] = "false"
began_s = time.perf_counter()

import great_expectations as gx  # noqa: E402  # its import is measured
import pandas as pd  # noqa: E402  # its import is measured

imported_s = time.perf_counter() - began_s
path, suite_path = sys.argv[1:]
with open(suite_path) as file:
    document = json.load(file)
context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = {"globally": False}
began_s = time.perf_counter()
frame = pd.read_parquet(path)
loaded_s = time.perf_counter() - began_s
batch = context.data_sources.add_pandas("data").add_dataframe_asset("table").add_batch_definition_whole_dataframe("all")
suite = gx.ExpectationSuite(name="suite", expectations=document["expectations"])
began_s = time.perf_counter()
result = batch.get_batch({"dataframe": frame}).validate(suite, result_format="BASIC")
validated_s = time.perf_counter() - began_s
failed = [each.expectation_config.type for each in result.results if not each.success]
print(json.dumps({"import_s": imported_s, "load_s": loaded_s, "validate_s": validated_s, "failed": failed}))
