"""Who may do what: one table, role by role. Every object is also checked to be of the person's own organisation."""

RIGHTS: dict[str, frozenset[str]] = {
    "administrator": frozenset({"see", "answer", "close", "escalate", "write-policies", "see-evidence"}),
    "supervisor": frozenset({"see", "answer", "close", "escalate"}),
    "technician": frozenset({"see", "see-evidence"}),
    "observer": frozenset({"see"}),
}
ROLES = tuple(RIGHTS)


def may(role: str, action: str) -> bool:
    """Whether a role gives the right to an action; an unknown role gives none."""
    return action in RIGHTS.get(role, frozenset())
