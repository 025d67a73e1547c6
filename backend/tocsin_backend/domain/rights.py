"""Who may do what: one table. Roles are held in an organisation; rights by site come with the people who need them."""

from typing import Final

ROLES: Final = ("administrator", "supervisor", "school_head", "technician", "observer", "association")

RIGHTS: Final[dict[str, frozenset[str]]] = {
    "see": frozenset(("administrator", "supervisor", "school_head", "technician", "observer")),
    "answer": frozenset(("administrator", "supervisor", "school_head", "technician")),
    "close": frozenset(("administrator", "supervisor", "school_head", "technician")),
    "escalate": frozenset(("administrator", "supervisor", "school_head")),
    "manage": frozenset(("administrator",)),
}


def may(role: str, action: str) -> bool:
    """Whether a person of this role may do this. An unknown action is nobody's."""
    return role in RIGHTS.get(action, frozenset())
