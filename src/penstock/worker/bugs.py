"""What is stored of an exception that nobody raised on purpose."""

from __future__ import annotations

import os


def as_bug(error: BaseException) -> dict[str, str]:
    """Return an unexpected exception as it is stored: its type and place, none of its values."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    place = f"{os.path.basename(traceback.tb_frame.f_code.co_filename)}:{traceback.tb_lineno}" if traceback else "?"
    return {
        "code": "bug",
        "message": f"Penstock failed: {type(error).__name__} at {place}",
        "hint": "It is tried again; report this line when it stays.",
    }
