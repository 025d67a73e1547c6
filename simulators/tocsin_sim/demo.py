"""`make run`: the demo fleet on this machine. Twelve posts run the real firmware; two inboxes stand for people.

Interactive, it prints where to look and one line a press until Ctrl-C. With `--seconds` it presses by itself, a
scripted supervisor answers and closes, and it reports: exit status 0 only if every press became exactly one alert.

Everything lives in build/run, kept from one start to the next; another layout of the demo starts afresh.
"""

import contextlib
import fcntl
import hashlib
import json
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tocsin_backend import accounts
from tocsin_backend.enrolment import Contact, Registrar, SiteDetails, write_private

from tocsin_sim import fleet, toolchain
from tocsin_sim.board import Board, BoardError, Press, firmware_files
from tocsin_sim.broker import BrokerError
from tocsin_sim.inbox import MailInbox, Received, WebhookInbox, message_of
from tocsin_sim.indicator import IN_SERVICE
from tocsin_sim.processes import ProcessError
from tocsin_sim.stack import Ports, Stack, free_port, is_free
from tocsin_sim.supervisor import ApiRefused, Supervisor
from tocsin_sim.virtual_post import VirtualPosts

LAYOUT = 1  # raise it when an older build/run cannot be used any more
PORTS = Ports(broker=1883, backend=8000, gateway_status=8010)
POSTS_PORT = 8001
POLICY = f"""
id = "{fleet.POLICY}"
title = "Bornes d'appel, démonstration"
answer_timeout_s = 900
passes = 2

[[step]]
delay_s = 30
targets = [{{ channel = "console" }}, {{ person = "camille" }}]

[[step]]
delay_s = 60
targets = [{{ role = "supervisor" }}]

[[step]]
delay_s = 120
targets = [{{ role = "administrator" }}, {{ role = "supervisor" }}]
"""
SENT_WITHIN_S = 25.0
LAMP_WITHIN_S = 10.0
TAIL_WITHIN_S = 20.0
THINKING_S = (0.1, 0.5)  # between a notice and the answer
WORKING_S = (0.1, 0.4)  # between the green lamp and the closing
RESTING_S = (0.3, 2.0)  # before the same post is pressed again


class DemoError(RuntimeError):
    """The demo cannot start or go on; the message is the one line to show."""


def state_folder() -> Path:
    """build/run of the source tree; beside the tools' cache when there is no tree."""
    return toolchain.cache_folder().parent / "run"


PROFILE = "profiles/call_post.json"
PROBE_MS = 180_000  # a day on a real post: whoever watches the demonstration sees some
PROBES_EVERY_NS = 2_000_000_000


def say(text: str) -> None:
    print(text, flush=True)


def stamped(text: str) -> None:
    say(f"{time.strftime('%H:%M:%S')}  {text}")


@contextlib.contextmanager
def phase(what: str) -> Iterator[None]:
    """Says what is being done, and how long it took."""
    began = time.monotonic()
    print(f"  {what}… ", end="", flush=True)
    yield
    print(f"{time.monotonic() - began:.1f} s", flush=True)


def percentiles(values: list[float]) -> dict[str, float]:
    """{"p50", "p95", "p99"} in ms, nearest rank; empty when there is nothing."""
    ordered = sorted(values)
    ranks = {"p50": 50, "p95": 95, "p99": 99}
    return {
        name: round(ordered[max(0, -(-len(ordered) * share // 100) - 1)], 1) for name, share in ranks.items() if ordered
    }


class Demo:
    """The running demo. `open` starts everything, `close` stops it; both in the main thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.boards: dict[str, Board] = {}
        self._resources = contextlib.ExitStack()
        self._notices: dict[str, list[Received]] = {}
        self._arrived = threading.Condition()

    # -- starting

    def open(self) -> None:
        """Start everything. Raises DemoError, ProcessError, BrokerError, BoardError or ToolchainError."""
        self._take_folder()
        with phase("tools (MicroPython, umqtt.simple)"):
            self.tools = toolchain.found()
        sinks = self._sinks()
        self.webhooks = WebhookInbox(self._webhook_came, sinks["webhook"])
        self._resources.callback(self.webhooks.close)
        self.mails = MailInbox(self._mail_came, sinks["mail"])
        self._resources.callback(self.mails.close)
        fresh = not (self.folder / "logins.json").exists()
        with phase("first start: database, people, sites, keys" if fresh else "fleet of last time"):
            self.stack = Stack(
                self.folder, ports=PORTS, org=fleet.ORG, org_name=fleet.ORG_NAME, smtp_port=self.mails.port
            )
            self.logins = self._people() if fresh else json.loads((self.folder / "logins.json").read_text())
            for post in fleet.POSTS:
                self.stack.add_device(post.device, post.site, post.name)
        with phase(f"{len(fleet.POSTS)} boards"), ThreadPoolExecutor(4) as pool:
            self.boards = dict(
                zip((post.device for post in fleet.POSTS), pool.map(self._board, fleet.POSTS), strict=True)
            )
        with phase("broker, gateway, backend"):
            self._resources.callback(self.stack.stop)
            self.stack.start()
        with phase("posts connect"):
            self._resources.callback(self._power_off)
            for board in self.boards.values():
                board.power_on()
            self._wait_connected()
        names = {post.device: f"{post.site_name}, {post.name} ({post.address})" for post in fleet.POSTS}
        posts = VirtualPosts(self.boards, names)
        port = POSTS_PORT if is_free(POSTS_PORT) else free_port()
        self.posts_url = self._resources.enter_context(posts.serve(port=port))

    def close(self) -> None:
        """Stop everything, in order; safe at any moment."""
        self._resources.close()

    def _take_folder(self) -> None:
        """Make the state folder ours alone, of this layout. Raises DemoError."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            lock = self._resources.enter_context((self.folder.parent / f"{self.folder.name}.lock").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"another demo is running in {self.folder}: stop it first") from None
        except OSError as error:
            raise DemoError(f"{self.folder.parent} cannot be written: {error.strerror}") from None
        layout = hashlib.sha256(repr((LAYOUT, fleet.POSTS, fleet.PEOPLE, POLICY)).encode()).hexdigest()
        mark = self.folder / "layout"
        if self.folder.exists() and (not mark.exists() or mark.read_text() != layout or not self._is_whole()):
            say("  (the state of another version, or of a start cut short: starting afresh)")
            shutil.rmtree(self.folder)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        mark.write_text(layout)

    def _is_whole(self) -> bool:
        """Whether the enrolment of the first start came to its end."""
        return all((self.folder / "devices" / f"{post.device}.json").exists() for post in fleet.POSTS)

    def _sinks(self) -> dict[str, int]:
        """The inboxes' ports: the people's webhook addresses name them, so they stay. Raises DemoError."""
        kept = self.folder / "inboxes.json"
        if not kept.exists():
            webhook = free_port()
            kept.write_text(json.dumps({"webhook": webhook, "mail": free_port([webhook])}))
        ports: dict[str, int] = json.loads(kept.read_text())
        for port in ports.values():
            if not is_free(port):
                raise DemoError(f"port {port} is taken by another program: end it, or delete {self.folder}")
        return ports

    def _people(self) -> dict[str, str]:
        """Enrol people, policy and sites; {login: password}, kept for the next start."""
        logins = {person.login: accounts.generate_password() for person in fleet.PEOPLE}

        def enrol(desk: Registrar) -> None:
            for person in fleet.PEOPLE:
                contacts = [Contact("webhook", self.webhooks.url(person.webhook))] if person.webhook else []
                contacts += [Contact("email", person.mail)] if person.mail else []
                desk.add_person(
                    fleet.ORG, person.login, person.name, person.role, logins[person.login], person.language, contacts
                )
            desk.import_policy(fleet.ORG, POLICY, "demo")
            for post in fleet.POSTS:
                details = SiteDetails(
                    name=post.site_name, address=post.address, latitude=post.latitude, longitude=post.longitude,
                    insee=post.insee, policy=fleet.POLICY,
                )  # fmt: skip
                desk.add_site(fleet.ORG, post.site, details)

        self.stack.desk(enrol)
        write_private(self.folder / "logins.json", json.dumps(logins))
        return logins

    def _board(self, post: fleet.Post) -> Board:
        """The post's board as it was, its firmware renewed when it changed, its credentials when the broker moved."""
        folder = self.folder / "boards" / post.device
        credentials = self.stack.credentials(post.device)
        files = firmware_files()
        profile = json.loads(files[PROFILE]) | {"probe_period_ms": PROBE_MS}
        files[PROFILE] = json.dumps(profile).encode()
        wanted = hashlib.sha256(repr(sorted(files.items())).encode() + json.dumps(credentials).encode()).hexdigest()
        mark = folder / "flashed"
        seed = fleet.POSTS.index(post) + 1
        if not mark.exists():
            board = Board.create(folder, credentials, seed=seed, extra_files={PROFILE: files[PROFILE]})
        else:
            board = Board(folder, seed=seed)
            if mark.read_text() != wanted:
                board.copy({**files, "cred.json": json.dumps(credentials).encode()})
        mark.write_text(wanted)
        return board

    def _wait_connected(self) -> None:
        """Until every post's lamp says that the whole chain answered its first beat."""
        for device, board in self.boards.items():
            if not board.wait_for_state(IN_SERVICE, 30):
                raise DemoError(f"{device} did not come into service: {board.console()[-300:]}")

    def _power_off(self) -> None:
        with ThreadPoolExecutor(len(self.boards)) as pool:
            list(pool.map(Board.close, self.boards.values()))

    # -- messages

    def _webhook_came(self, message: Received) -> None:
        with self._arrived:
            self._notices.setdefault(str(message.content.get("alert", {}).get("id", "")), []).append(message)
            self._arrived.notify_all()
        stamped(f"webhook → {fleet.TARGETS.get(message.target, message.target)}: {message.content.get('subject', '')}")

    def _mail_came(self, message: Received) -> None:
        subject = message_of(message.body)["subject"]
        stamped(f"mail → {fleet.TARGETS.get(message.target, message.target)}: {subject}")

    def first_notice_ms(self, alert: str) -> float | None:
        """When the first webhook of this alert was received, epoch ms."""
        with self._arrived:
            messages = self._notices.get(alert, [])
            return messages[0].at_ms if messages else None

    # -- looking

    def ledger(self, device: str, press: Press) -> dict[str, Any] | None:
        """The backend's ledger of a press that a board made, None while it is not stored."""
        rows = self.stack.query(
            "SELECT * FROM ledger WHERE org = ? AND device = ? AND abs(contact_ms - ?) < 1000 AND mode <> 'probe'"
            " ORDER BY b DESC, n DESC",
            fleet.ORG,
            device,
            press.contact_ns // 1_000_000,
        )
        return rows[0] if rows else None

    def probes(self, after_ms: int) -> list[dict[str, Any]]:
        """The ledgers of probes that went the whole way after an instant."""
        return self.stack.query(
            "SELECT device, contact_ms, lamp_answered_ms FROM ledger WHERE mode = 'probe' AND lamp_answered_ms > ?"
            " ORDER BY lamp_answered_ms",
            after_ms,
        )

    def follow(self, stop: threading.Event) -> None:
        """One line a press, hop by hop, and one when its lamp turns green, until stopped."""
        began_ns = time.time_ns()
        told: dict[str, int] = dict.fromkeys(self.boards, began_ns)  # contact of the last press told
        green: dict[str, int] = dict.fromkeys(self.boards, began_ns)
        probed_ms, look_ns = began_ns // 1_000_000, began_ns
        while not stop.wait(0.05):
            if time.time_ns() > look_ns:
                look_ns = time.time_ns() + PROBES_EVERY_NS
                for row in self.probes(probed_ms):
                    probed_ms = row["lamp_answered_ms"]
                    took_ms = probed_ms - row["contact_ms"]
                    stamped(f"{row['device']}: its own test press, to the backend and back in {took_ms} ms")
            for post in fleet.POSTS:
                for press in self.boards[post.device].history():
                    arrived = press.sent_ns or press.answered_ns
                    late = time.time_ns() - press.contact_ns > SENT_WITHIN_S * 1e9
                    if press.contact_ns > told[post.device] and press.sending_ns is not None and (arrived or late):
                        told[post.device] = press.contact_ns
                        stamped(self._story(post, press))
                    if press.answered_ns is not None and press.answered_ns > green[post.device]:
                        green[post.device] = press.answered_ns
                        stamped(f"{post.device} ({post.address}): lamp green")

    def _story(self, post: fleet.Post, press: Press) -> str:
        place = f"{post.device} ({post.address}) pressed"
        row = self.ledger(post.device, press)
        if row is None:
            return f"{place}: not delivered yet, the post keeps trying"
        contact_ms = press.contact_ns / 1e6
        hops = [("kept", press.after_ms(press.sending_ns))]
        hops += [(hop, row[f"{hop}_ms"] - contact_ms) for hop in ("received", "stored")]
        first_ms = self.first_notice_ms(row["alert_id"])
        hops += [("told", None if first_ms is None else first_ms - contact_ms)]
        hops += [("lamp yellow", press.after_ms(press.sent_ns))]
        return f"{place}: " + ", ".join(f"{name} {ms:.0f}" for name, ms in hops if ms is not None) + " ms"


# -- unattended


class Trial:
    """Presses on every post while time lasts, a supervisor for each alert, and the account of it all."""

    def __init__(self, demo: Demo, seed: int) -> None:
        self.demo = demo
        self.seed = seed
        self.presses: list[tuple[str, Press]] = []
        self.troubles: list[str] = []
        self.answered = 0
        self.lamp_answered_ms: list[float] = []
        self._lock = threading.Lock()
        self._supervisor = Supervisor(demo.stack.ports.backend, "camille", demo.logins["camille"])

    def run(self, seconds: float) -> None:
        """Press for so long, then wait for the tail."""
        self._close_all()
        self.began_ms = time.time_ns() // 1_000_000
        until = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._guard, args=(device, board, until), name=f"presses-{device}", daemon=True)
            for device, board in self.demo.boards.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def report(self) -> dict[str, Any]:
        """The figures of the run, by the backend's database and the boards' pins."""
        stack = self.demo.stack
        signals = stack.query(
            "SELECT device, b, n, alert_id, contact_ms FROM signal WHERE kind = 'press' AND stored_ms >= ?"
            " ORDER BY device, b, n",
            self.began_ms,
        )
        alerts = stack.query(
            "SELECT id FROM alert WHERE category = 'call' AND mode <> 'probe' AND raised_ms >= ?", self.began_ms
        )
        stored, orphans = 0, {alert["id"] for alert in alerts}
        lamp_sent, dispatch = [], []
        lost = 0
        for device in self.demo.boards:
            rows = [row for row in signals if row["device"] == device]
            for press in (press for name, press in self.presses if name == device):
                row = min(rows, key=lambda row: abs(row["contact_ms"] - press.contact_ns // 1_000_000), default=None)
                if row is None or row["alert_id"] not in orphans:
                    lost += 1
                    continue
                rows.remove(row)
                orphans.remove(row["alert_id"])
                stored += 1
                if press.sent_ns is not None:
                    lamp_sent.append(press.after_ms(press.sent_ns))
                first_ms = self.demo.first_notice_ms(row["alert_id"])
                if first_ms is not None:
                    dispatch.append(first_ms - press.contact_ns / 1e6)
        return {
            "presses": len(self.presses),
            "stored": stored,
            "alerts": len(alerts),
            "lost": lost,
            "duplicates": len(signals) - stored + len(orphans),
            "answered": self.answered,
            "lamp_sent_ms": percentiles(lamp_sent),
            "dispatch_ms": percentiles(dispatch),
            "lamp_answered_ms": percentiles(self.lamp_answered_ms),
            "boards": len(self.demo.boards),
            "interpreter": self.demo.tools["interpreter"],
            "umqtt": self.demo.tools["umqtt"],
            "seed": self.seed,
        }

    def _close_all(self) -> None:
        """Alerts that an earlier run left open would take this run's presses in."""
        for alert in self._supervisor.get("/api/v1/alerts?status=open&limit=500")["alerts"]:
            if alert["category"] == "call":
                self._close(alert)

    def _close(self, alert: dict[str, Any]) -> None:
        body = {"epoch": alert["epoch"], "reason": "test"}
        self._supervisor.post(f"/api/v1/alerts/{alert['id']}/close", body)

    def _guard(self, device: str, board: Board, until: float) -> None:
        try:
            self._press(device, board, until)
        except (ApiRefused, OSError, TimeoutError) as error:
            with self._lock:
                self.troubles.append(f"{device}: {error}")
        finally:
            self._supervisor.close()

    def _press(self, device: str, board: Board, until: float) -> None:
        dice = random.Random(f"{self.seed} {device}")
        time.sleep(dice.uniform(0, 1.5))
        while time.monotonic() < until:
            before = len(board.history())
            board.press(dice.randint(120, 400), dice.choice(("clean", "new", "worn")))
            if not board.wait_for(lambda before=before: len(board.presses) > before, 2):
                raise TimeoutError("the contact did not close")
            press = board.presses[-1]
            with self._lock:
                self.presses.append((device, press))
            if not board.wait_for(lambda press=press: press.sent_ns is not None, SENT_WITHIN_S):
                raise TimeoutError("the lamp did not turn yellow")
            alert = self._alert(device)
            time.sleep(dice.uniform(*THINKING_S))
            asked_ns = time.time_ns()
            self._supervisor.post(f"/api/v1/alerts/{alert['id']}/answer", {"epoch": alert["epoch"]})
            if not board.wait_for(lambda press=press: press.answered_ns is not None, LAMP_WITHIN_S):
                raise TimeoutError("the lamp did not turn green")
            with self._lock:
                self.answered += 1
                self.lamp_answered_ms.append((press.answered_ns - asked_ns) / 1e6)
            time.sleep(dice.uniform(*WORKING_S))
            self._close(alert)
            if not board.wait_for(lambda: board.colour == "off", LAMP_WITHIN_S):
                raise TimeoutError("the lamp did not go out")
            time.sleep(dice.uniform(*RESTING_S))

    def _alert(self, device: str) -> dict[str, Any]:
        """The open alert of a post that was pressed. Waits for it: a busy machine makes a blink look steady."""
        deadline = time.monotonic() + SENT_WITHIN_S
        while True:
            alerts = self._supervisor.get(f"/api/v1/alerts?status=open&device={device}")["alerts"]
            calls = [alert for alert in alerts if alert["category"] == "call"]
            if len(calls) == 1:
                return dict(calls[0])
            if calls or time.monotonic() > deadline:
                raise TimeoutError(f"{len(calls)} open alerts instead of one")
            time.sleep(0.05)


def holds(report: dict[str, Any]) -> bool:
    """Whether every press became exactly one alert, and was answered."""
    same = report["presses"] == report["stored"] == report["alerts"] == report["answered"] > 0
    return same and not report["lost"] and not report["duplicates"]


# -- the command


def run(seconds: float | None, report_file: Path | None, seed: int | None, folder: Path | None = None) -> int:
    """The demo until Ctrl-C, or unattended for so many seconds; the exit status."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, interrupt)
    demo = Demo((folder or state_folder()).absolute())
    began = time.monotonic()
    try:
        say("Tocsin, demonstration")
        demo.open()
        introduce(demo, time.monotonic() - began)
        if seconds is None:
            demo.follow(threading.Event())
            return 0
        return unattended(demo, seconds, report_file, seed)
    except KeyboardInterrupt:
        return 0 if seconds is None else 130
    except (DemoError, ProcessError, BrokerError, BoardError, toolchain.ToolchainError) as error:
        print(f"\ntocsin-sim: {error}", file=sys.stderr)
        return 1
    finally:
        with ignored_interrupts():
            began = time.monotonic()
            demo.close()
            say(f"\nStopped in {time.monotonic() - began:.1f} s. The state is kept in {demo.folder}.")


@contextlib.contextmanager
def ignored_interrupts() -> Iterator[None]:
    """A second Ctrl-C does not cut the stop short: it takes less than 3 s."""
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(name, signal.SIG_IGN) for name in names]
    try:
        yield
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)


def introduce(demo: Demo, took_s: float) -> None:
    """Where to look, and how to get in."""
    say(f"\nReady in {took_s:.1f} s: {len(demo.boards)} posts, {demo.tools['interpreter']}.\n")
    say(f"  Console        {demo.stack.url}/")
    for person in fleet.PEOPLE:
        say(f"                 {person.login:<8} {demo.logins[person.login]}   ({person.role}, {person.name})")
    say(f"  Virtual posts  {demo.posts_url}")
    say("\nPresses appear here, and from the third minute on each post's own test press. Ctrl-C stops everything.\n")


def unattended(demo: Demo, seconds: float, report_file: Path | None, seed: int | None) -> int:
    """A trial with its report; 0 only if it holds."""
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    say(f"Unattended for {seconds:.0f} s, seed {seed}.")
    trial = Trial(demo, seed)
    stop = threading.Event()
    follower = threading.Thread(target=demo.follow, args=(stop,), name="follower", daemon=True)
    follower.start()
    trial.run(seconds)
    stop.set()
    follower.join()
    report = trial.report()
    for trouble in trial.troubles:
        say(f"trouble: {trouble}")
    say(json.dumps(report))
    if report_file is not None:
        report_file.parent.mkdir(parents=True, exist_ok=True)
        report_file.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if holds(report) and not trial.troubles else 1
