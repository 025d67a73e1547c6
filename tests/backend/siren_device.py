"""A device with alarm outputs that obeys WIRE.md to the letter and nothing else: what the firmware must be, for tests.

It verifies the signature, the session's nonce, the counter and the time, refuses what is retained, moves its outputs
and says what came of it. `moves` is every change of an output; `refused` is what it did not obey, and why.
"""

import itertools
import json
from typing import Any

from backend_rig import ORG, START_MS, Post, Rig
from tocsin_backend.store import downlink, tables
from tocsin_wire import messages
from tocsin_wire.errors import WireError


class Siren(Post):
    """`outputs` are its own; `stuck` is one whose read-back contact never follows; `fire` mutes it."""

    nonces = itertools.count(1)

    def __init__(self, rig: Rig, device: str, key: bytes, outputs: tuple[str, ...]) -> None:
        super().__init__(rig, device, key)
        self.nonce = ""
        self.highest = 0  # on flash
        self.obeyed: dict[str, str] = {}  # order -> its output, on flash as well
        self.state = dict.fromkeys(outputs, "off")
        self.moves: list[tuple[str, str]] = []
        self.refused: list[str] = []
        self.commands: list[dict[str, Any]] = []
        self.stuck = ""
        self.fire = False

    def be_born(self) -> None:
        """A new session: another nonce. The counter and the outputs stay."""
        self.link += 1
        self.nonce = f"{next(self.nonces):016x}"
        body = {"s": f"{self.b}.{self.link}", "st": "ready", "nonce": self.nonce}
        assert self.rig.give(self.seal("state", body))["r"] == "stored"

    def hears(self, topic: str, frame: bytes, retained: bool = False) -> dict[str, Any] | None:
        """What the broker brings: the fields of the reply; None for what is not even a command of ours."""
        if retained:
            self.refused.append("retained")
            return None
        try:
            command = messages.unseal(topic, frame, self.key)
        except WireError as error:
            self.refused.append(error.code)
            return None
        self.commands.append(command)
        why = self._forbids(command)
        said = {"re": command["id"], "c": command["c"]}
        if why:
            self.refused.append(why)
            return {**said, "r": "refused", "why": why}
        self.highest = command["c"]
        out, asked = command["out"], command["do"].removeprefix("alarm-")
        if self.stuck == out:
            return {**said, "r": "failed", "why": "read-back", "out": out, "state": self.state[out]}
        if command["id"] not in self.obeyed and self.state[out] != asked:
            self.state[out] = asked
            self.moves.append((out, asked))
        self.obeyed[command["id"]] = out
        return {**said, "r": "done", "out": out, "state": self.state[out]}

    def _forbids(self, command: dict[str, Any]) -> str:
        if command["nonce"] != self.nonce:
            return "nonce"
        if command["c"] <= self.highest:
            return "counter"
        if command["t"] + command["ttl"] < self.rig.clock.now // 1000:
            return "expired"
        if command.get("out") not in self.state:
            return "output"
        return "fire" if self.fire and command["do"] == "alarm-on" else ""

    def says(self, reply: dict[str, Any] | None, **more: Any) -> dict[str, Any] | None:
        """Its reply, through the gateway."""
        return None if reply is None else self.rig.give(self.signal("reply", **reply, **more))


def frames_down(rig: Rig) -> list[tuple[str, bytes]]:
    """Every frame that a gateway would be given now."""
    with rig.database.read() as conn:
        return [(row.topic, row.frame) for row in downlink.after(conn, ORG, "gw-1", 0)]


def commands_down(rig: Rig) -> list[tuple[str, bytes]]:
    return [(topic, frame) for topic, frame in frames_down(rig) if topic.endswith("/cmd")]


def a_siren(rig: Rig, device: str, *outputs: str, site: str = "lycee") -> Siren:
    """A device in service, not born yet."""
    made = rig.post(device, site=site)
    return Siren(rig, device, made.key, outputs)


def a_group(rig: Rig, group: str, *outputs: tuple[str, str], site: str = "lycee") -> None:
    text = json.dumps([list(each) for each in outputs])
    rig.save(tables.AlarmGroup(org=ORG, id=group, site=site, title=group, outputs=text, created_ms=START_MS))
