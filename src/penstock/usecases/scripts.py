"""What can be asked about a script before any data is read."""

from __future__ import annotations

from pathlib import Path

from penstock.core import limits
from penstock.core.errors import ScriptNotFound, ScriptRejected, UsageError
from penstock.core.ports import Sandbox
from penstock.core.scripts import Language, Problem, Profile, ScriptLimits, ScriptVersion, Tier

_LANGUAGES: dict[str, Language] = {".py": "python", ".js": "javascript", ".mjs": "javascript"}


def load_script(path: str, *, profile: Profile | None, tier: Tier, limits_: ScriptLimits) -> ScriptVersion:
    """Return the script at a path with how it is to be run; its bytes are not looked at.

    Args:
        path: its ending tells the language.
        profile: what it may import; None for the language's own (`std`, or `js`).
        tier: whether a child is used once or again.
        limits_: what one chunk may use.

    Raises:
        ScriptNotFound: when the file cannot be read.
        ScriptRejected: when its ending is unknown or it is too large.
        UsageError: when the profile is not one of the language.
    """
    language = _LANGUAGES.get(Path(path).suffix)
    if language is None:
        raise _rejected(
            f"{path}: the ending {Path(path).suffix or '(none)'} is no script's", f"Name it {', '.join(_LANGUAGES)}."
        )
    if (language == "javascript") != (profile in (None, "js") if language == "javascript" else profile == "js"):
        raise UsageError(
            f"--profile {profile} is not for {language}", hint="JavaScript has the profile js, Python std and arrow."
        )
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise ScriptNotFound(f"{path}: cannot be read: {error.strerror}", hint="Check the path.") from error
    if len(source) > limits.SCRIPT_BYTES.value * 2**20:
        raise _rejected(
            f"{path} has {len(source):,} bytes; at most {limits.SCRIPT_BYTES.value} MiB may be",
            "A script is code, not data.",
        )
    default: Profile = "js" if language == "javascript" else "std"
    return ScriptVersion(Path(path).name, source, language, profile or default, tier, limits_)


def check_script(script: ScriptVersion, *, sandbox: Sandbox) -> list[Problem]:
    """Return what would keep a script from running; it is compiled in the sandbox, and none of it runs."""
    return sandbox.check(script)


def _rejected(message: str, hint: str) -> ScriptRejected:
    return ScriptRejected(message, hint=hint, problems=[])
