"""Files of the lake in a folder: durable once closed, and taken in without trusting who wrote them."""

import os

import pytest

from penstock.core.errors import FileRefused
from penstock.storage.tables.intake import check_file
from penstock.storage.tables.local_io import DurableFiles


@pytest.fixture
def synced(monkeypatch):
    """What was made durable, in order."""
    seen = []
    real = os.fsync

    def fsync(number):
        seen.append(os.path.basename(os.readlink(f"/proc/self/fd/{number}")))
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def test_the_metadata_comes_last_and_makes_every_name_of_its_folder_durable(tmp_path, synced):
    files = DurableFiles()
    for name in ("m0.avro", "snap.avro", "00001.metadata.json"):
        with files.new_output(str(tmp_path / "metadata" / name)).create() as file:
            file.write(b"x" * 100_000)
    assert synced[-4:] == ["m0.avro", "snap.avro", "00001.metadata.json", "metadata"]
    assert len(files.new_input(str(tmp_path / "metadata" / "m0.avro"))) == 100_000


def test_a_name_is_taken_once(tmp_path):
    place = str(tmp_path / "x")
    DurableFiles().new_output(place).create().close()
    with pytest.raises(FileExistsError):
        DurableFiles().new_output(place).create()
    DurableFiles().new_output(place).create(overwrite=True).close()
    DurableFiles().delete(place)
    DurableFiles().delete(place)
    assert not DurableFiles().new_input(place).exists()


def test_a_pipe_or_a_link_is_no_data(tmp_path):
    os.mkfifo(tmp_path / "pipe.parquet")
    (tmp_path / "loop.parquet").symlink_to("loop.parquet")
    for name in ("pipe.parquet", "loop.parquet"):
        with pytest.raises(FileRefused, match=name):
            check_file(tmp_path / name)
