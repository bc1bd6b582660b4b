"""Ids say what they name, and sort in the order of making."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

from penstock.base.ids import new_id


def test_an_id_is_a_prefix_and_a_ulid_of_now():
    id_ = new_id("job")
    assert re.fullmatch("job_[0-7][0-9A-HJKMNP-TV-Z]{25}", id_)
    milliseconds = 0
    for character in id_[4:14]:
        milliseconds = milliseconds * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character)
    assert abs(milliseconds / 1000 - time.time()) < 5


def test_ids_sort_in_the_order_of_making_and_never_repeat():
    made = [new_id("att") for _ in range(10_000)]
    assert made == sorted(set(made))


def test_threads_never_make_the_same_id():
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: new_id("job"), range(5_000)))
    assert len(set(made)) == 5_000
