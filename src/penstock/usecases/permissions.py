"""The one question before everything else: may this actor do this?"""

from __future__ import annotations

from penstock.core.access import PERMISSIONS, Actor, Permission
from penstock.core.errors import NotAllowed


def require(actor: Actor, permission: Permission) -> None:
    """Return when the actor may.

    Raises:
        NotAllowed: naming what keeps the actor from it, and who may.
    """
    if actor.may(permission):
        return
    roles = [role for role, granted in PERMISSIONS.items() if permission in granted]
    if permission in PERMISSIONS[actor.role]:
        scopes = ", ".join(sorted(actor.permissions)) or "none"
        raise NotAllowed(
            f"this needs {permission!r}; {actor.name}'s role {actor.role!r} has it, but the scopes of the key "
            f"{actor.key} leave only: {scopes}",
            hint=f"Use a key without scopes, or one with {permission} among them: "
            f"penstock keys create NAME --scope {permission}",
        )
    raise NotAllowed(
        f"this needs {permission!r}; {actor.name}'s role {actor.role!r} does not have it",
        hint=f"Ask somebody with the role {' or '.join(roles)}, or an admin for that role.",
    )
