"""Where the master key comes from, and when a server does not start without one."""

from __future__ import annotations

import base64
import stat
import threading

import pytest

from penstock.access.master import load_master_keys, master_fingerprint
from penstock.core.errors import SettingInvalid

ONE = base64.b64encode(b"1" * 32).decode()
TWO = base64.b64encode(b"2" * 32).decode()


def test_the_first_start_makes_a_file_that_only_its_owner_reads(tmp_path):
    made = load_master_keys("", home=tmp_path / "home", embedded=True)
    path = tmp_path / "home" / "master.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(made.keys[0]) == 32
    assert load_master_keys("", home=tmp_path / "home", embedded=True) == made
    assert [item.name for item in (tmp_path / "home").iterdir()] == ["master.key"]


def test_processes_that_start_at_once_agree_on_one_key(tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(load_master_keys("", home=tmp_path, embedded=True)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_servers_that_share_a_database_must_be_given_the_key(tmp_path):
    with pytest.raises(SettingInvalid, match="PENSTOCK_MASTER_KEY is not set"):
        load_master_keys("", home=tmp_path, embedded=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_others_can_read_is_refused(tmp_path):
    load_master_keys("", home=tmp_path, embedded=True)
    (tmp_path / "master.key").chmod(0o644)
    with pytest.raises(SettingInvalid, match="can be read by others"):
        load_master_keys("", home=tmp_path, embedded=True)


@pytest.mark.parametrize("setting", [f"{ONE},{TWO}", f" {ONE} , {TWO}\n", f"{ONE}\n{TWO}"])
def test_the_first_key_wraps_and_older_ones_unwrap(tmp_path, setting):
    keys = load_master_keys(setting, home=tmp_path, embedded=False)
    assert keys.newest == master_fingerprint(b"1" * 32)
    assert keys.by_fingerprint(master_fingerprint(b"2" * 32)) == b"2" * 32
    assert keys.by_fingerprint("other") is None


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("not base64!", "is not base64"),
        (base64.b64encode(b"short").decode(), "has 5 bytes"),
        (f"{ONE},{base64.b64encode(b'x' * 33).decode()}", "key 2 .* has 33 bytes"),
        (",".join([ONE] * 5), "has 5 keys"),
        (",", "has 0 keys"),
    ],
)
def test_what_is_no_key_is_refused_without_showing_it(tmp_path, setting, said):
    with pytest.raises(SettingInvalid, match=said) as caught:
        load_master_keys(setting, home=tmp_path, embedded=True)
    assert setting not in str(caught.value)


def test_keys_do_not_show_in_what_is_printed(tmp_path):
    assert "1111" not in repr(load_master_keys(ONE, home=tmp_path, embedded=True))
