"""What is said of a disk that is full or broken."""

import errno
import os
import shutil

from penstock.base.disks import low, room, said


def test_a_full_disk_is_told_with_its_folder_and_what_is_free_there(tmp_path):
    words = said(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), tmp_path)
    assert words.startswith(f"No space left on device in {tmp_path}, where ")
    assert words.endswith(" are free")
    assert said(OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "x.parquet"))) == words


def test_a_broken_disk_is_told_with_its_folder_alone(tmp_path):
    assert said(OSError(errno.EIO, "Input/output error"), tmp_path) == f"Input/output error in {tmp_path}"
    assert said(OSError(errno.EIO, "Input/output error")) == "Input/output error"
    assert said(OSError("closed")) == "OSError"


def test_of_a_folder_that_is_gone_nothing_is_said_to_be_free(tmp_path):
    assert room(tmp_path / "gone") == ""


def test_a_disk_that_is_nearly_full_is_told_before_it_is(tmp_path):
    usage = shutil.disk_usage(tmp_path)
    folder = tmp_path / "to" / "be"
    assert low([folder], free_bytes=0, free_share=0.0) is None
    for free_bytes, free_share in ((usage.total + 1, 0.0), (0, 2.0)):
        found = low(["/proc", folder], free_bytes=free_bytes, free_share=free_share)  # /proc is no disk
        assert found is not None
        assert found[0] == folder
        assert found[1].endswith(" are free")
