"""A disk that is really full, at one moment of the night or another, until somebody makes room."""

import contextlib
import os
import shutil
import subprocess
import threading

import pytest

from tests.shop_nights import EVENING, NIGHT, half, polled, shop_nights

FREE_KIB = (40, 240, 480, 720, 960)  # a night takes some 1,200 at most
ROOM = "64m"
ROOM_AFTER_S = 25.0

pytestmark = [
    pytest.mark.timeout(3_600),
    pytest.mark.skipif("PENSTOCK_CHAOS_EVERY" not in os.environ, reason="each night costs seconds: make chaos"),
]


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, as only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", folder], check=False).returncode
    ):
        pytest.skip("only root can make a disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def resize(disk, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


@contextlib.contextmanager
def full(disk, free_kib: int):
    """Leave so much free for a while; then there is room."""
    used = shutil.disk_usage(disk).used // 1024
    resize(disk, f"{used + free_kib}k")
    timer = threading.Timer(ROOM_AFTER_S, resize, (disk, ROOM))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        resize(disk, ROOM)


def test_a_night_on_a_full_disk_ends_as_if_it_had_had_room(tmp_path, disk):
    evening, found = tmp_path / "evening", {}
    with shop_nights(disk / "shop") as shop:
        assert shop.night(EVENING).status == 0
        shutil.copytree(shop.folder, evening)
        before = shop.seen()
        assert shop.night(NIGHT).status == 0
        after, morning = shop.seen(), shop.left()
        for free_kib in FREE_KIB:
            shop.put_back(evening)
            with polled(lambda: half(shop.seen(), before, after), every_s=1.0) as wrong, full(disk, free_kib):
                night = shop.night(NIGHT)
            found[free_kib] = "went on by itself" if night.status == 0 else said(night, shop)
            assert wrong == []
            assert night.status == 0 or shop.night(NIGHT).status == 0, free_kib
            assert shop.left() == morning, free_kib
    print(*(f"{free} KiB free: {what}" for free, what in found.items()), sep="\n")  # noqa: T201  # figures for who runs it


def said(night, shop) -> str:
    """Return the error of a night that had no room; it says where, how much is free, and what to do."""
    (error,) = [line for line in night.said.splitlines() if line.startswith("penstock.core.errors.")][-1:]
    assert f"in {shop.folder}" in error, night.said
    assert " are free" in error, night.said
    return str(error.replace(str(shop.folder), "..."))
