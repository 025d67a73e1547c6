"""Rows as the store gives them, for the views' tests."""

import json
from typing import Any

from tocsin_backend.domain import policies
from tocsin_backend.store.board import AlertRow, EntryRow, LedgerRow, NoticeRow

NOW_MS = 1_790_000_000_000  # 21 September 2026, 15:33:20 in Paris

POLICY = policies.Policy(
    "bornes",
    "Bornes",
    900_000,
    1,
    (
        policies.Step(30_000, (policies.Target(channel="console"), policies.Target(person="camille"))),
        policies.Step(60_000, (policies.Target(role="supervisor", channels=("email",)),)),
    ),
)


def alert(**changes: Any) -> AlertRow:
    """An alert raised 80 s ago at Embrun's station, that nobody took yet."""
    values: dict[str, Any] = {
        "id": "7c9e6679-7425-50de-944b-e07fc1f90ae7",
        "seq": 12,
        "org": "region-sud",
        "org_name": "Région Sud",
        "device_org": "region-sud",
        "site": "embrun-gare",
        "site_name": "Gare d'Embrun",
        "address": "Embrun",
        "timezone": "Europe/Paris",
        "device": "bau-embrun",
        "device_name": "Parvis",
        "kind": "call_post",
        "category": "call",
        "mode": "real",
        "silent": False,
        "scenario": "",
        "subject": "",
        "status": "raised",
        "condition": "active",
        "epoch": 1,
        "pass_": 1,
        "step": 0,
        "due_ms": NOW_MS + 12_000,
        "unanswered": False,
        "presses": 1,
        "severity": 0,
        "progress": "",
        "raised_ms": NOW_MS - 80_000,
        "answered_ms": None,
        "owner": None,
        "owner_id": None,
        "close_asked_by": None,
        "close_asked_id": None,
        "close_asked_reason": None,
        "closed_ms": None,
        "closer": None,
        "reason": None,
        "window_id": None,
        "window_title": None,
        "window_ends_ms": None,
        "about_id": None,
        "previous_id": None,
        "lamp": "stored",
        "frozen": policies.dump(POLICY),
        "notices": 2,
        "reached": 2,
        "failed": 0,
    }
    return AlertRow(**(values | changes))


def entry(what: str, at_ms: int = NOW_MS, **data: Any) -> EntryRow:
    return EntryRow(1, "backend", at_ms, what, json.dumps(data))


def ledger(**changes: Any) -> LedgerRow:
    """Contact, then 41 ms to the gateway, 3 to its disk, 9 to the alert, 6 to the first notice; lamp at 71 ms."""
    contact = NOW_MS - 80_000
    values: dict[str, Any] = {
        "b": 812,
        "n": 7,
        "contact_ms": contact,
        "published_ms": contact + 41,
        "received_ms": contact + 41,
        "held_ms": contact + 44,
        "stored_ms": contact + 53,
        "handed_ms": contact + 59,
        "lamp_sent_ms": contact + 71,
        "answered_ms": None,
        "lamp_answered_ms": None,
    }
    return LedgerRow(**(values | changes))


def notice(**changes: Any) -> NoticeRow:
    values: dict[str, Any] = {
        "kind": "notify",
        "target": "person:1",
        "channel": "webhook",
        "person": "Camille Roux",
        "class_": 0,
        "status": "handed",
        "attempts": 1,
        "maybe_dup": False,
        "error": None,
        "created_ms": NOW_MS - 80_000,
        "handed_ms": NOW_MS - 79_990,
        "delivered_ms": None,
        "seen_ms": None,
    }
    return NoticeRow(**(values | changes))
