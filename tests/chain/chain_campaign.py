"""A campaign: people press real boards while broker, gateway, backend and boards are killed at random.

One seed draws everything: who presses when and how the contact bounces, who is killed when and for how long. Instants
inside the processes are the machine's, so a seed repeats the pressure, not the run.
"""

import contextlib
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain_oracle import MS, STEADY_MS, Lit, Pressed, Tables, Tone, Verdict, judge
from tocsin_backend.enrolment import Contact, SiteDetails
from tocsin_sim.board import FIRMWARE, Board, Event
from tocsin_sim.broker import BrokerError
from tocsin_sim.inbox import MailInbox, Received, WebhookInbox
from tocsin_sim.indicator import OFF
from tocsin_sim.processes import ProcessError
from tocsin_sim.stack import Stack
from tocsin_sim.supervisor import ApiRefused, Supervisor

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
# Who is killed, in shares. The backend takes longest to start, and must live most of the time for anything to flow.
TARGETS = {"device": 40, "broker": 22, "gateway": 22, "backend": 16}
PAUSE_S = (0.2, 0.9)  # between kills
AWAY_S = (0.0, 0.8)  # before it is started again
CHIRP_WITHIN_S = 1.5
SETTLE_WITHIN_S = 90.0  # after the last kill, for everything to be stored
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
        self.board.wait_for(lambda: len(self.chirps) > chirps or self._exit_ns, CHIRP_WITHIN_S)
        shown_ns = self.chirps[chirps] if len(self.chirps) > chirps else None
        new = self.note(began_ns, shown_ns)
        if len(new) > 1:
            self.twice.append(f"{self.device}: one press was kept {len(new)} times: {new}")
        time.sleep(max(0.0, hold_ms / 1000 - (time.time_ns() - began_ns) / 1e9))
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


class Campaign:
    """Make it, `run` it until told to stop, and read the verdict; always `close` it.

    `prepare(stack)` may plant a bug before the start; `firmware` is the folder the boards run.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        boards: int = 4,
        prepare: Callable[[Stack], None] | None = None,
        firmware: Path = FIRMWARE,
        targets: dict[str, int] | None = None,
    ) -> None:
        self.seed = seed
        self.kills: Counter[str] = Counter()
        self.answers = 0
        self.troubles: list[str] = []
        self._targets = TARGETS if targets is None else targets
        self._stop = threading.Event()
        self.webhooks = WebhookInbox()
        self.mails = MailInbox()
        self.posts: list[Post] = []
        self.stack = Stack(folder, smtp_port=self.mails.port)
        self.stack.desk(self._enrol)
        for number in range(1, boards + 1):
            device = f"bau-{number}"
            credentials = self.stack.add_device(device, SITE)
            board = Board.create(folder / "boards" / device, credentials, firmware=firmware, seed=seed * 100 + number)
            self.posts.append(Post(board, device))
        if prepare is not None:
            prepare(self.stack)
        self.supervisor = Supervisor(self.stack.ports.backend, LOGIN, PASSWORD)

    def _enrol(self, desk: Any) -> None:
        contacts = [Contact("webhook", self.webhooks.url("veille")), Contact("email", "veille@exemple.test")]
        desk.add_person(self.stack.org, LOGIN, "Veille", "supervisor", PASSWORD, "fr", contacts)
        desk.import_policy(self.stack.org, POLICY, "essai")
        desk.add_site(self.stack.org, SITE, SiteDetails(name="Essai", policy="essai"))

    # -- running

    def start(self) -> None:
        """Everything up, and every post connected."""
        self.stack.start()
        for post in self.posts:
            post.watch()
            post.board.power_on()
        for post in self.posts:
            if not post.board.wait_for(lambda post=post: "connected" in post.board.console(), 20):
                raise TimeoutError(f"{post.device} did not connect: {post.board.console()[-400:]}")

    def run(self, enough: Callable[["Campaign"], bool], progress: Callable[[str], None] | None = None) -> None:
        """Press and kill until `enough`, then heal everything and let it come to rest. Raises what an actor raised."""
        threads = [
            threading.Thread(target=self._guard, args=(self._press, post), name=post.device) for post in self.posts
        ]
        threads.append(threading.Thread(target=self._guard, args=(self._disturb,), name="chaos"))
        said = began = time.monotonic()
        for thread in threads:
            thread.start()
        try:
            while not enough(self) and not self.troubles:
                time.sleep(0.1)
                if progress is not None and time.monotonic() - said >= 10:
                    said = time.monotonic()
                    progress(f"{said - began:5.0f} s: {self.summary()}")
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        if self.troubles:
            raise RuntimeError("; ".join(self.troubles))
        self._settle()

    @property
    def presses(self) -> int:
        return sum(post.attempts for post in self.posts)

    @property
    def accepted(self) -> int:
        return sum(len(post.pressed) for post in self.posts)

    def summary(self) -> str:
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        people = f"{self.presses} presses, {self.accepted} kept, {self.answers} answered"
        return f"{people}, {self.kills.total()} kills ({kills})"

    def close(self) -> None:
        for post in self.posts:
            post.board.close()
        self.stack.stop()
        self.webhooks.close()
        self.mails.close()

    # -- the actors

    def _guard(self, act: Callable[..., None], *arguments: Any) -> None:
        try:
            act(*arguments)
        except Exception as error:  # shown by `run`: a thread's traceback would be lost
            self.troubles.append(f"{threading.current_thread().name}: {type(error).__name__}: {error}")

    def _press(self, post: Post) -> None:
        dice = random.Random(f"{self.seed} {post.device}")
        while not self._stop.wait(dice.uniform(0.1, 0.7)):
            if not post.board.wait_for(lambda: post.board.state != OFF, 1):
                continue
            press = post.press(dice)
            if press is not None and dice.random() < 0.6 and self._told(post, "sent", press, 4):
                self._take_and_close(post, press, close=dice.random() < 0.8)
        self.supervisor.close()

    def _told(self, post: Post, what: str, press: Pressed, within_s: float) -> bool:
        """Whether the post said it of that press in time, or earlier."""

        def said() -> bool:
            return any(
                isinstance(one, Tone) and one.what == what and one.at_ns >= press.known_ns for one in post.shown[-20:]
            )

        return post.board.wait_for(lambda: said() or self._stop.is_set(), within_s) and said()

    def _take_and_close(self, post: Post, press: Pressed, *, close: bool) -> None:
        """As a supervisor would; a backend that is dead just then is left alone."""
        with contextlib.suppress(OSError, ApiRefused):
            alert = self._alert_of(press)
            if alert is None:
                return
            self.supervisor.post(f"/api/v1/alerts/{alert['id']}/answer", {"epoch": alert["epoch"]})
            self.answers += 1
            self._told(post, "answered", press, 3)
            if close:
                self.supervisor.post(f"/api/v1/alerts/{alert['id']}/close", {"reason": "test"})

    def _alert_of(self, press: Pressed) -> dict[str, Any] | None:
        rows = self.stack.query(
            "SELECT alert.* FROM alert JOIN signal ON signal.alert_id = alert.id"
            " WHERE signal.device = ? AND signal.b = ? AND signal.n = ?",
            press.device,
            press.b,
            press.n,
        )
        return rows[0] if rows else None

    def _disturb(self) -> None:
        dice = random.Random(f"{self.seed} chaos")
        names, shares = list(self._targets), list(self._targets.values())
        healers: list[threading.Thread] = []
        while names and not self._stop.wait(dice.uniform(*PAUSE_S)):
            name = dice.choices(names, shares)[0]
            away_s = dice.uniform(*AWAY_S)
            if name == "device":
                post = dice.choice(self.posts)
                if dice.random() < 0.5:
                    post.board.kill()
                else:
                    post.board.power_cut(away_s, rtc_garbage=dice.random() < 0.3)
                self.kills[name] += 1
                continue
            busy = next((healer for healer in healers if healer.name == name and healer.is_alive()), None)
            if busy is not None:
                continue
            getattr(self.stack, name).kill()
            self.kills[name] += 1
            healer = threading.Thread(target=self._guard, args=(self._heal, name, away_s), name=name)
            healer.start()
            healers = [*(one for one in healers if one.is_alive()), healer]
        for healer in healers:
            healer.join()

    def _heal(self, name: str, away_s: float) -> None:
        self._stop.wait(away_s)
        part = getattr(self.stack, name)
        if name == "broker":
            part.start()
        else:
            part.begin()
            if name == "backend":
                # Killed again only once it was up: it needs longer to start than the others.
                part.wait_ready()

    # -- the end

    def _settle(self) -> None:
        """Everything runs again; wait until every press on a flash is stored and every notice has left."""
        with contextlib.suppress(BrokerError):
            self.stack.broker.start()
        for process in (self.stack.backend, self.stack.gateway):
            process.begin()
        for process in (self.stack.backend, self.stack.gateway):
            with contextlib.suppress(ProcessError):
                process.wait_ready()
        for post in self.posts:
            post.board.power_on()
            post.note(time.time_ns(), None)
        deadline = time.monotonic() + SETTLE_WITHIN_S
        while self._unsettled() and time.monotonic() < deadline:
            time.sleep(0.2)
        for post in self.posts:
            post.close()

    def _unsettled(self) -> bool:
        stored = {
            (row["device"], row["b"], row["n"])
            for row in self.stack.query("SELECT device, b, n FROM signal WHERE kind = 'press'")
        }
        if any((press.device, press.b, press.n) not in stored for post in self.posts for press in post.pressed):
            return True
        left = self.stack.query(
            "SELECT count(*) AS n FROM dispatch WHERE status IN ('pending', 'leased') AND channel <> 'lamp'"
        )
        return bool(left[0]["n"])

    def verdict(self) -> Verdict:
        """Judge what was seen against the database as it is now."""
        stack = self.stack
        tables = Tables(
            signals=stack.query("SELECT * FROM signal"),
            alerts=stack.query("SELECT * FROM alert"),
            answers=stack.query("SELECT * FROM answer"),
            ledgers=stack.query("SELECT * FROM ledger"),
            dispatches=stack.query("SELECT * FROM dispatch"),
        )
        presses = [press for post in self.posts for press in post.pressed]
        shown = [one for post in self.posts for one in post.shown]
        verdict = judge(presses, shown, tables, [message_id(message) for message in self.webhooks.messages])
        verdict.duplicates += [said for post in self.posts for said in post.twice]
        verdict.violations += self._verify()
        return verdict

    def _verify(self) -> list[str]:
        """The complaint of `tocsin verify`, if it has one."""
        try:
            self.stack.tocsin("verify")
        except ProcessError as error:
            return [str(error)]
        return []


def message_id(message: Received) -> str:
    """The id that a webhook's message keeps through every try."""
    return str(message.content["id"])
