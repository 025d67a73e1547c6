"""Who may do what: one table, role by role. Every object is also checked to be of the person's own organisation."""

SEE = frozenset({"see-alerts", "see-devices", "see-policies", "see-latency"})
ACT = frozenset({"answer", "close", "escalate"})

RIGHTS: dict[str, frozenset[str]] = {
    "administrator": SEE | ACT | {"write-policies", "see-evidence", "see-people"},
    "supervisor": SEE | ACT,
    "technician": SEE | {"see-evidence"},
    "observer": SEE,
}
ROLES = tuple(RIGHTS)


def may(role: str, action: str) -> bool:
    """Whether a role gives the right to an action; an unknown role gives none."""
    return action in RIGHTS.get(role, frozenset())
