"""Which server commands talk to, and as whom: PENSTOCK_URL and PENSTOCK_API_KEY, else what `penstock login` kept."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.core.errors import NotLoggedIn, SettingInvalid

if TYPE_CHECKING:
    from penstock.client import Client

DEFAULT_URL: Final = "http://127.0.0.1:8400"
_TOKENS: Final = "the first `penstock up` printed a token, and an admin makes one: penstock members token NAME"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A server, and a key for it."""

    url: str
    api_key: str


def credentials_path() -> Path:
    """Return where `penstock login` keeps them."""
    folder = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(folder) / "penstock" / "credentials.json"


def read_credentials() -> Credentials:
    """Return the server to talk to, and the key to show.

    Raises:
        NotLoggedIn: when neither the environment nor the file has them.
        SettingInvalid: when the file is not what was written.
    """
    url, api_key = os.environ.get("PENSTOCK_URL", ""), os.environ.get("PENSTOCK_API_KEY", "")
    if url and api_key:
        return Credentials(url, api_key)
    path = credentials_path()
    try:
        kept = json.loads(path.read_text())
        found = Credentials(url or kept["url"], api_key or kept["api_key"])
    except FileNotFoundError:
        if api_key:
            hint = f"Set PENSTOCK_URL, such as {DEFAULT_URL}"
            raise NotLoggedIn("PENSTOCK_API_KEY is set, and PENSTOCK_URL is not", hint=hint) from None
        raise NotLoggedIn(f"there is no PENSTOCK_API_KEY and no {path}", hint=_log_in(url)) from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise SettingInvalid(f"{path} cannot be read: {type(error).__name__}", hint=_log_in(url)) from error
    if url and not api_key and url.rstrip("/") != str(kept["url"]).rstrip("/"):
        # A key is for its own server; showing it to another would give it away.
        raise NotLoggedIn(f"the key in {path} is for {kept['url']}, and PENSTOCK_URL is {url}", hint=_log_in(url))
    return found


def login_command(url: str, token: str = "TOKEN") -> str:
    """Return the command that logs in to a server."""
    where = "" if url.rstrip("/") in ("", DEFAULT_URL) else f" --url {url}"
    return f"penstock login{where} --token {token}"


def _log_in(url: str) -> str:
    return f"Run: {login_command(url)}  ({_TOKENS})"


def keep_credentials(credentials: Credentials) -> Path:
    """Write them where only this user can read them, and return the path."""
    path = credentials_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(credentials), file)
    draft.replace(path)
    return path


@contextlib.contextmanager
def open_client() -> Iterator[Client]:
    """Give a client of the server that the environment or `penstock login` names."""
    from penstock.client import Client

    found = read_credentials()
    with Client(found.url, found.api_key) as client:
        try:
            yield client
        except NotLoggedIn as error:  # the server does not know where it is reached, nor where the key came from
            own = os.environ.get("PENSTOCK_API_KEY")
            hint = "Put another key into PENSTOCK_API_KEY, or take it out." if own else _log_in(found.url)
            raise NotLoggedIn(error.message, hint=hint) from error
