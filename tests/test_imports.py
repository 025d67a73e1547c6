"""The table of who may import whom (DESIGN §3), read from the source with `ast`."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLACES = {
    "tocsin_wire": "firmware/lib/tocsin_wire",
    "tocsin_device": "firmware/lib/tocsin_device",
    "tocsin_esp32": "firmware/lib/tocsin_esp32",
    "tocsin_gateway": "gateway/tocsin_gateway",
    "tocsin_backend": "backend/tocsin_backend",
    "tocsin_sim": "simulators/tocsin_sim",
}
# The longest matching prefix decides. A package may always import itself.
MAY_IMPORT = {
    "tocsin_wire": (),
    "tocsin_device": ("tocsin_wire",),
    "tocsin_esp32": ("tocsin_wire", "tocsin_device"),
    "tocsin_gateway": ("tocsin_wire",),
    "tocsin_backend.domain": (),
    "tocsin_backend.store": ("tocsin_backend.domain",),
    "tocsin_backend.acks": ("tocsin_wire", "tocsin_backend.domain", "tocsin_backend.store"),
    "tocsin_backend.outbox": (
        "tocsin_backend.acks",
        "tocsin_backend.domain",
        "tocsin_backend.store",
        "tocsin_backend.channels",
    ),
    "tocsin_backend.ingest": (
        "tocsin_wire",
        "tocsin_backend.acks",
        "tocsin_backend.outbox",
        "tocsin_backend.domain",
        "tocsin_backend.store",
    ),
    "tocsin_backend.lateness": ("tocsin_backend.outbox", "tocsin_backend.domain", "tocsin_backend.store"),
    "tocsin_backend.drills": ("tocsin_backend.outbox", "tocsin_backend.domain", "tocsin_backend.store"),
    "tocsin_backend.probe_watch": ("tocsin_backend.outbox", "tocsin_backend.domain", "tocsin_backend.store"),
    "tocsin_backend.engine": (
        "tocsin_backend.drills",
        "tocsin_backend.probe_watch",
        "tocsin_backend.lateness",
        "tocsin_backend.outbox",
        "tocsin_backend.domain",
        "tocsin_backend.store",
        "tocsin_backend.channels",
    ),
    "tocsin_backend.channels": ("tocsin_wire", "tocsin_backend.domain", "tocsin_backend.store"),
    "tocsin_backend.api": ("tocsin_backend.domain", "tocsin_backend.store", "tocsin_backend.ingest"),
    "tocsin_backend.console": ("tocsin_backend.domain", "tocsin_backend.store", "tocsin_backend.ingest"),
    # The composition root, the programs and what they share: everything of the backend.
    "tocsin_backend": ("tocsin_wire", "tocsin_backend"),
    "tocsin_sim": ("tocsin_wire", "tocsin_device", "tocsin_gateway", "tocsin_backend"),
}
# Leaves that hold no rule and no state of their own: anything of the backend may use them.
BACKEND_LEAVES = ("tocsin_backend.errors", "tocsin_backend.clock", "tocsin_backend.settings")
# What turns a request into a decision: the API and the console act through these and never around them.
ACTED_THROUGH = (
    "tocsin_backend.drill_pages",
    "tocsin_backend.drills",
    "tocsin_backend.engine",
    "tocsin_backend.accounts",
    "tocsin_backend.enrolment",
    "tocsin_backend.metrics",
    "tocsin_backend.answering",
    "tocsin_backend.contacts",
    "tocsin_backend.machines",
    "tocsin_backend.outlook",
    "tocsin_backend.plans",
)


def modules():
    for package, place in PLACES.items():
        for path in sorted((ROOT / place).rglob("*.py")):
            inner = path.relative_to(ROOT / place).with_suffix("").parts
            name = ".".join((package, *(part for part in inner if part != "__init__")))
            yield name, path


def imported(name: str, source: str, is_package: bool) -> set[str]:
    """The modules of ours that `source`, the text of module `name`, imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                keep = len(parts) - node.level + (1 if is_package else 0)
                base = ".".join(parts[:keep] + ([node.module] if node.module else []))
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return {module for module in found if module.split(".")[0] in PLACES}


def rule_of(name: str) -> str:
    return max((prefix for prefix in MAY_IMPORT if name == prefix or name.startswith(prefix + ".")), key=len)


def allowed(name: str, module: str) -> bool:
    rule = rule_of(name)
    choices = (rule, *MAY_IMPORT[rule])
    if name.startswith("tocsin_backend") and rule != "tocsin_backend.domain":
        choices += BACKEND_LEAVES
    if rule in ("tocsin_backend.api", "tocsin_backend.console"):
        choices += ACTED_THROUGH
    if module in {choice.rsplit(".", 1)[0] for choice in choices if "." in choice}:
        return True  # `from tocsin_backend import store` names the parent too; the child decides
    return any(module == choice or module.startswith(choice + ".") for choice in choices)


@pytest.mark.parametrize(("name", "path"), [pytest.param(*pair, id=pair[0]) for pair in modules()])
def test_imports_keep_to_the_table(name, path):
    wrong = {
        m for m in imported(name, path.read_text(encoding="utf-8"), path.name == "__init__.py") if not allowed(name, m)
    }
    assert wrong == set(), f"{name} may not import {sorted(wrong)}"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("tocsin_wire.codec", "import tocsin_device"),
        ("tocsin_device.lamp", "def f():\n    from tocsin_esp32 import pins"),
        ("tocsin_gateway.app", "from tocsin_backend.ingest import Ingest"),
        ("tocsin_backend.domain.alerts", "from ..store import alerts"),
        ("tocsin_backend.domain.alerts", "from tocsin_wire import topics"),
        ("tocsin_backend.store.alerts", "from ..ingest import Ingest"),
        ("tocsin_backend.console.views", "from ..channels import email"),
        ("tocsin_backend.app", "import tocsin_gateway"),
        ("tocsin_backend.app", "import tocsin_sim"),
    ],
)
def test_a_forbidden_import_is_caught(name, source):
    assert not all(allowed(name, module) for module in imported(name, source, is_package=False))
