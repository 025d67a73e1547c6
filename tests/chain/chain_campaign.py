"""A campaign: people press real boards while broker, gateway, backend and boards are killed at random.

One seed draws everything: who presses when and how the contact bounces, who is killed when and for how long. Instants
inside the processes are the machine's, so a seed repeats the pressure, not the run.
"""

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chain_oracle import Tables, Verdict, judge
from chain_system import Post, System
from tocsin_sim.broker import BrokerError
from tocsin_sim.inbox import Received
from tocsin_sim.indicator import OFF
from tocsin_sim.processes import ProcessError

# Who is killed, in shares. The backend takes longest to start, and must live most of the time for anything to flow.
TARGETS = {"device": 40, "broker": 22, "gateway": 22, "backend": 16}
PAUSE_S = (0.2, 0.9)  # between kills
AWAY_S = (0.0, 0.8)  # before it is started again
PRESSES_AFTER_S = (0.1, 1.5)  # the same post again
ANSWERS_AFTER_S = (0.1, 1.0)  # a notice
CLOSES_AFTER_S = (0.2, 2.0)  # an answer
CLOSED_SHARE = 0.8  # of the alerts that were taken
SETTLE_WITHIN_S = 90.0  # after the last kill, for everything to be stored


class Campaign(System):
    """`start` it, `run` it until told to stop, read the verdict; always `close` it. The rest is System's."""

    def __init__(self, folder: Path, seed: int, *, targets: Mapping[str, int] = TARGETS, **system: Any) -> None:
        super().__init__(folder, seed=seed, **system)
        self.seed = seed
        self.kills: Counter[str] = Counter()
        self.answers = 0
        self.troubles: list[str] = []
        self._targets = targets
        self._stop = threading.Event()

    # -- running

    def run(self, enough: Callable[["Campaign"], bool], progress: Callable[[str], None] | None = None) -> None:
        """Press and kill until `enough`, then heal everything and let it come to rest. Raises what an actor raised."""
        threads = [
            threading.Thread(target=self._guard, args=(self._press, post), name=post.device) for post in self.posts
        ]
        threads.append(threading.Thread(target=self._guard, args=(self._supervise,), name="supervisor"))
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

    # -- the actors

    def _guard(self, act: Callable[..., None], *arguments: Any) -> None:
        try:
            act(*arguments)
        except Exception as error:  # shown by `run`: a thread's traceback would be lost
            self.troubles.append(f"{threading.current_thread().name}: {type(error).__name__}: {error}")

    def _press(self, post: Post) -> None:
        dice = random.Random(f"{self.seed} {post.device}")
        while not self._stop.wait(dice.uniform(*PRESSES_AFTER_S)):
            if not post.board.wait_for(lambda: post.board.state != OFF, 1):
                continue
            post.press(dice)

    def _supervise(self) -> None:
        """Takes each alert some time after its first notice, and closes most; a backend that is dead is asked again."""
        dice = random.Random(f"{self.seed} supervisor")
        seen = 0
        due: list[tuple[float, str, str]] = []
        while not self._stop.wait(0.05):
            messages = self.webhooks.messages
            for message in messages[seen:]:
                if message.content["kind"] == "notify":
                    at = time.monotonic() + dice.uniform(*ANSWERS_AFTER_S)
                    due.append((at, "answer", str(message.content["alert"]["id"])))
            seen = len(messages)
            now = time.monotonic()
            ready, due = [one for one in due if one[0] <= now], [one for one in due if one[0] > now]
            for _, act, alert in ready:
                try:
                    self._act(act, alert)
                except OSError:
                    due.append((now + 0.5, act, alert))
                    continue
                if act == "answer" and dice.random() < CLOSED_SHARE:
                    due.append((now + dice.uniform(*CLOSES_AFTER_S), "close", alert))
        self.supervisor.close()

    def _act(self, act: str, alert: str) -> None:
        epoch = self.supervisor.get(f"/api/v1/alerts/{alert}")["epoch"]
        if act == "answer":
            outcome = self.supervisor.post(f"/api/v1/alerts/{alert}/answer", {"epoch": epoch})["outcome"]
            self.answers += outcome == "won"
        else:
            self.supervisor.post(f"/api/v1/alerts/{alert}/close", {"epoch": epoch, "reason": "test"})

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
