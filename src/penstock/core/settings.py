"""Every setting: its name, default, what it is for, and whether it is a secret. Only `wiring` reads them.

A setting is an environment variable, so that a container, a unit file and a shell say it the same way.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; an empty default is worked out from the others."""

    name: str
    default: str
    sentence: str
    secret: bool = False


HOME: Final = Setting("PENSTOCK_HOME", ".penstock", "The folder of the embedded database, blobs and keys.")
DATABASE_URL: Final = Setting(
    "PENSTOCK_DATABASE_URL",
    "",
    "The records database, with the catalog of tables; SQLite files in the home folder when not given.",
    secret=True,
)
BLOBS: Final = Setting(
    "PENSTOCK_BLOBS",
    "",
    "Where blobs and the files of tables are: a folder and `lake` beside it, or s3://bucket/prefix; else in home.",
)
S3_ENDPOINT: Final = Setting("PENSTOCK_S3_ENDPOINT", "", "The S3 service, when it is not Amazon's.")
MASTER_KEY: Final = Setting(
    "PENSTOCK_MASTER_KEY", "", "32 bytes in base64 that wrap every data key; else a file in home.", secret=True
)
HOST: Final = Setting("PENSTOCK_HOST", "127.0.0.1", "The address that the API listens on.")
PORT: Final = Setting("PENSTOCK_PORT", "8400", "The port that the API listens on.")
PROXIES: Final = Setting(
    "PENSTOCK_PROXIES", "", "Addresses of proxies whose X-Forwarded-For is believed, with commas between."
)
FILES: Final = Setting(
    "PENSTOCK_FILES",
    "",
    "A folder with one for each workspace, whose files pipelines may read and write; `files` in home when the database"
    " is a file, else none.",
)
URL: Final = Setting("PENSTOCK_URL", "", "The server that commands talk to; else the one of `penstock login`.")
API_KEY: Final = Setting("PENSTOCK_API_KEY", "", "The key of commands; else that of `penstock login`.", secret=True)

ALL: Final[tuple[Setting, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Setting))


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server was told."""

    home: str
    database_url: str
    blobs: str
    s3_endpoint: str
    master_key: str
    host: str
    port: int
    proxies: str = ""
    files: str = ""

    @property
    def warehouse(self) -> str:
        """Where the files of tables are: beside the blobs."""
        if self.blobs.startswith("s3://"):
            return f"{self.blobs.rstrip('/')}/lake"
        return os.path.join(os.path.dirname(self.blobs), "lake", "warehouse")

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders of this machine in which something of the server's lies; others may be on other disks."""
        database = os.path.dirname(self.database_url.removeprefix("sqlite:///")) if self.embedded else ""
        known = [self.home, database, self.blobs, self.warehouse, self.files]
        return tuple(folder for folder in known if folder and not folder.startswith("s3://"))

    @property
    def catalog_url(self) -> str:
        """Where the catalog of tables is; empty for a file of its own."""
        return "" if self.embedded else self.database_url

    @property
    def embedded(self) -> bool:
        """Whether the database is a file of this machine."""
        return self.database_url.startswith("sqlite:")

    @property
    def url(self) -> str:
        """Where the API is reached from this machine, as far as the settings tell."""
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # what listens everywhere listens here too
        host = anywhere.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
