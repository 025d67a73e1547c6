"""The whole system with a few boards, one supervisor and two inboxes, as the chain's tests and campaigns use it."""

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain_oracle import MS, STEADY_MS, Lit, Pressed, Tone
from tocsin_backend.enrolment import Contact, Registrar, SiteDetails
from tocsin_sim.board import FIRMWARE, Board, Event
from tocsin_sim.inbox import MailInbox, WebhookInbox
from tocsin_sim.stack import Stack
from tocsin_sim.supervisor import Supervisor

SITE = "essai"
LOGIN, PASSWORD = "veille", "une-phrase-assez-longue"
POLICY = """
id = "essai"
title = "Essai"
[[step]]
delay_s = 60
targets = [{ channel = "console" }, { person = "veille" }]
[[step]]
delay_s = 60
targets = [{ role = "supervisor" }]
"""
KEPT_WITHIN_S = 1.5
LOOK_EVERY_S = 0.05
LIFTED_S = 0.15  # a finger is off the button so long before it can press again; else it is one press
CONNECTED_WITHIN_S = 30.0
TONES = {1800: "sent", 2200: "answered"}  # the first of their tones; nothing else uses these
CHIRP_HZ = 2700
COLOURS = {"yellow": "sent", "green": "answered"}
_JOURNALLED = re.compile(rb"p-(\d{1,9})-(\d{1,9})")


def kept_on_flash(board: Board) -> set[tuple[int, int]]:
    """The (boot, n) of every press whose journal file was ever made, as far as the flash still remembers."""
    data = (board.folder / "flash.bin").read_bytes()
    return {(int(b), int(n)) for b, n in _JOURNALLED.findall(data)}


@dataclass
class Post:
    """A board, what it said, and the presses that are on its flash."""

    board: Board
    device: str
    pressed: list[Pressed] = field(default_factory=list)
    shown: list[Tone | Lit] = field(default_factory=list)
    chirps: list[int] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    attempts: int = 0
    _known: set[tuple[int, int]] = field(default_factory=set)
    _colour: str = "off"
    _since_ns: int = 0
    _hz: int = 0
    _exit_ns: int = 0

    def watch(self) -> None:
        self.board.listen(self._hear)

    def _hear(self, event: Event) -> None:
        if event.kind in ("pin", "exit", "power"):
            self._see(event.at_ns, self.board.colour)
        if event.kind in ("pwm", "exit", "power"):
            hz = self.board.tone_hz
            if hz != self._hz:
                if hz in TONES:
                    self.shown.append(Tone(self.device, event.at_ns, TONES[hz]))
                elif hz == CHIRP_HZ and self._hz == 0:
                    self.chirps.append(event.at_ns)
                self._hz = hz
        if event.kind == "exit":
            self._exit_ns = event.at_ns

    def _see(self, at_ns: int, colour: str) -> None:
        if colour != self._colour:
            if self._colour in COLOURS and at_ns - self._since_ns >= STEADY_MS * MS:
                self.shown.append(Lit(self.device, self._since_ns, at_ns, COLOURS[self._colour]))
            self._colour, self._since_ns = colour, at_ns

    def close(self) -> None:
        """No more will be seen: what is lit is lit until now."""
        self._see(time.time_ns(), "off")

    def press(self, dice: random.Random) -> Pressed | None:
        """A person presses once; the press that the firmware kept, None when it did not (the board was dead)."""
        began_ns = time.time_ns()
        chirps = len(self.chirps)
        self._exit_ns = 0
        self.attempts += 1
        hold_ms = dice.randint(120, 350)
        self.board.press(hold_ms, dice.choice(("clean", "new", "worn")))
        new: list[Pressed] = []
        # A chirp that cuts short another tone of the same pitch is not heard: then the flash is looked at once more.
        while not new and not self._exit_ns and time.time_ns() - began_ns < KEPT_WITHIN_S * 1e9:
            self.board.wait_for(lambda: len(self.chirps) > chirps or self._exit_ns, LOOK_EVERY_S)
            new = self.note(began_ns, self.chirps[chirps] if len(self.chirps) > chirps else None)
        new = new or self.note(began_ns, None)
        if len(new) > 1:
            self.twice.append(f"{self.device}: one press was kept {len(new)} times: {new}")
        time.sleep(max(0.0, hold_ms / 1000 + LIFTED_S - (time.time_ns() - began_ns) / 1e9))
        return new[-1] if new else None

    def note(self, contact_ns: int, shown_ns: int | None) -> list[Pressed]:
        """Read the flash for presses not known yet; what never chirped counts as known from now on."""
        fresh = sorted(kept_on_flash(self.board) - self._known)
        self._known.update(fresh)
        now_ns = time.time_ns()
        new = [Pressed(self.device, b, n, contact_ns, shown_ns or now_ns, None) for b, n in fresh]
        if new:
            new[-1].shown_ns = shown_ns
            self.pressed += new
        return new


class System:
    """Enrolled by the constructor, started by `start`; always `close` it.

    `prepare(stack)` may plant a bug before the start; `firmware` is the folder the boards run; `environment` adds to
    the backend's.
    """

    def __init__(
        self,
        folder: Path,
        *,
        boards: int = 1,
        seed: int = 1,
        prepare: Callable[[Stack], None] | None = None,
        firmware: Path = FIRMWARE,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.webhooks = WebhookInbox()
        self.mails = MailInbox()
        self.stack = Stack(folder, smtp_port=self.mails.port, environment=environment)
        self.stack.desk(self._enrol)
        self.posts: list[Post] = []
        for number in range(1, boards + 1):
            device = f"bau-{number}"
            credentials = self.stack.add_device(device, SITE)
            board = Board.create(folder / "boards" / device, credentials, firmware=firmware, seed=seed * 100 + number)
            self.posts.append(Post(board, device))
        if prepare is not None:
            prepare(self.stack)
        self.supervisor = Supervisor(self.stack.ports.backend, LOGIN, PASSWORD)

    def _enrol(self, desk: Registrar) -> None:
        contacts = [Contact("webhook", self.webhooks.url("veille")), Contact("email", "veille@exemple.test")]
        desk.add_person(self.stack.org, LOGIN, "Veille", "supervisor", PASSWORD, "fr", contacts)
        desk.import_policy(self.stack.org, POLICY, "essai")
        desk.add_site(self.stack.org, SITE, SiteDetails(name="Essai", policy="essai"))

    def start(self) -> None:
        """Everything up, and every post connected. Raises TimeoutError."""
        self.stack.start()
        for post in self.posts:
            post.watch()
            post.board.power_on()
        for post in self.posts:
            if not post.board.wait_for(lambda post=post: "connected" in post.board.console(), CONNECTED_WITHIN_S):
                raise TimeoutError(f"{post.device} did not connect: {post.board.console()[-400:]}")

    def close(self) -> None:
        for post in self.posts:
            post.board.close()
        self.supervisor.close()
        self.stack.stop()
        self.webhooks.close()
        self.mails.close()

    def alert_of(self, device: str, b: int, n: int) -> dict[str, Any] | None:
        """The row of the alert that a press is in."""
        rows = self.stack.query(
            "SELECT alert.* FROM alert JOIN signal ON signal.alert_id = alert.id"
            " WHERE signal.device = ? AND signal.b = ? AND signal.n = ?",
            device,
            b,
            n,
        )
        return rows[0] if rows else None
