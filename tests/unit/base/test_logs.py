"""Logs stay whole, whoever else writes to standard error."""

import json
import subprocess
import sys

LOGGING = """
import sys, threading
from penstock.base.logs import configure_logs, get_log

def log():
    for number in range(1_000):
        get_log().info("thing.done", number=number, padding="x" * 200)

configure_logs()
threads = [threading.Thread(target=log) for _ in range(6)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    sys.stderr.write("said\\n")
    sys.stderr.flush()
"""


def test_lines_of_threads_stay_whole_while_another_prints():
    done = subprocess.run([sys.executable, "-c", LOGGING], stderr=subprocess.PIPE, check=True)
    lines = [line for line in done.stderr.splitlines() if line != b"said"]
    assert [json.loads(line)["event"] for line in lines] == ["thing.done"] * 6_000
