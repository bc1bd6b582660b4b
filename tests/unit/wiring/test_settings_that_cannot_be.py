"""What a server is told and cannot do is said as such, before anything is made."""

import pytest

from penstock.core.errors import SchemaUnknown, SettingInvalid
from penstock.wiring.server import open_server
from penstock.wiring.settings import read_settings


def test_a_home_that_cannot_be_made_is_a_setting_and_no_bug(tmp_path):
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / ".penstock"):
        settings = read_settings({"PENSTOCK_HOME": str(home)})
        with pytest.raises(SettingInvalid, match="cannot be made") as refused, open_server(settings, create=True):
            pass
        assert "PENSTOCK_HOME" in refused.value.hint


def test_who_is_in_another_folder_than_the_server_is_told_so_and_leaves_nothing_there(tmp_path):
    settings = read_settings({"PENSTOCK_HOME": str(tmp_path / ".penstock")})
    with pytest.raises(SchemaUnknown, match=r"no records database .*penstock\.db") as refused, open_server(settings):
        pass
    assert "where `penstock up` runs" in refused.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("blobs", ["gs://bucket", "azure://bucket/prefix", "file:///tmp/blobs"])
def test_a_kind_of_store_that_is_not_known_is_no_folder_of_that_name(tmp_path, monkeypatch, blobs):
    monkeypatch.chdir(tmp_path)
    settings = read_settings({"PENSTOCK_BLOBS": blobs})
    with pytest.raises(SettingInvalid, match="PENSTOCK_BLOBS"), open_server(settings, create=True):
        pass
    assert not list(tmp_path.glob("*:*"))
