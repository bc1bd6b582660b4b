"""Reading settings from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from penstock.core import settings
from penstock.core.errors import SettingInvalid
from penstock.core.settings import Setting, Settings

_DATABASE: Final = "penstock.db"
_BLOBS: Final = "blobs"
_FILES: Final = "files"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return what a server was told.

    Raises:
        SettingInvalid: naming the setting, its value and what would be valid.
    """

    def value(setting: Setting) -> str:
        return environment.get(setting.name, "").strip() or setting.default

    home = Path(value(settings.HOME)).absolute()
    database_url = value(settings.DATABASE_URL) or f"sqlite:///{home / _DATABASE}"
    on_one_machine = database_url.startswith("sqlite:")  # elsewhere a file would lie on whichever host wrote it
    return Settings(
        home=str(home),
        database_url=database_url,
        blobs=value(settings.BLOBS) or str(home / _BLOBS),
        s3_endpoint=value(settings.S3_ENDPOINT),
        master_key=value(settings.MASTER_KEY),
        host=value(settings.HOST),
        port=_port(value(settings.PORT)),
        proxies=value(settings.PROXIES),
        files=value(settings.FILES) or (str(home / _FILES) if on_one_machine else ""),
    )


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise SettingInvalid(
            f"{settings.PORT.name} is {text!r}; a port is a number from 0 to 65535",
            hint=f"Set {settings.PORT.name}={settings.PORT.default}, or leave it out.",
        )
    return int(text)
