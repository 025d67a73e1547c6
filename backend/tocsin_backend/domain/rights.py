"""Who may do what: one table, role by role. Every object is also checked to be of the person's own organisation."""

RIGHTS: dict[str, frozenset[str]] = {
    "administrator": frozenset(
        {
            "see",
            "answer",
            "close",
            "escalate",
            "write-policies",
            "write-contacts",
            "see-evidence",
            "see-plans",
            "see-readiness",
            "run-drills",
            "run-maintenance",
        }
    ),
    "supervisor": frozenset(
        {"see", "answer", "close", "escalate", "see-plans", "see-readiness", "run-drills", "run-maintenance"}
    ),
    "technician": frozenset(
        {"see", "answer-technical", "close-technical", "see-evidence", "see-readiness", "run-maintenance"}
    ),
    "observer": frozenset({"see"}),
}
ROLES = tuple(RIGHTS)


def may(role: str, action: str, category: str = "technical") -> bool:
    """Whether a role gives the right to an action; an unknown role gives none.

    `category` of the alert it is about; without one, whether there is any alert that the role may do it to.
    """
    rights = RIGHTS.get(role, frozenset())
    return action in rights or f"{action}-{category}" in rights
