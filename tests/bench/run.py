"""`make bench [WHAT=…]`: latencies of the real programs, in one run with the floor. Writes build/bench.json.

    python tests/bench/run.py [WHAT ...] [--samples N] [--broker nats|mosquitto] [--out FILE]

press_to_dispatch_idle       a press is published (QoS 1) -> the webhook sink has the whole first request
press_to_dispatch_beats500   the same while 500 other devices beat, 500 beats a second
contact_to_sent              the contact of a virtual board closes -> its lamp shows *sent*; the debounce is included
step_lateness_… raise_with_10000_open_… burst500_… hanging_channel_…   the engine's own: engine_bench.py

Ours and the floor's samples alternate, 50 ms apart, on the same broker; each press comes from a device of its own, so
that each makes an alert; it has beaten once before, as a post in service has. The clock is CLOCK_MONOTONIC, one for
all processes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import engine_bench
from beat_source import beat_of
from figures import figures
from tocsin_backend.enrolment import Contact, Registrar, SiteDetails
from tocsin_sim.broker import MOSQUITTO, NATS
from tocsin_sim.raw_mqtt import RawClient
from tocsin_sim.stack import Stack
from tocsin_sim.supervisor import Supervisor
from tocsin_wire import messages, signing
from webhook_sink import WebhookSink

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "build" / "bench.json"
EVERY_S = 0.05
WITHIN_S = 10.0
WARM_UP = 20  # presses before the first sample: imports, caches, connections
BEATS_A_SECOND = 500
BEATING = 500
BOARD_SAMPLES = 100
PASSWORD = "bench-Passphrase-7421"
POLICY = """
id = "bench"
title = "Bench"
[[step]]
delay_s = 3600
targets = [{ channel = "console" }, { person = "camille" }]
"""
Credentials = dict[str, Any]


class Presser:
    """One raw connection of one device, and the presses it publishes."""

    def __init__(self, credentials: Credentials) -> None:
        self.device: str = credentials["device"]
        self._topic: str = credentials["topics"]["alert"]
        self._kid: str = credentials["kid"]
        self._key = signing.key_from_text(credentials["key"])
        broker = credentials["broker"]
        self._client = RawClient(broker["port"], broker["user"], broker["user"], broker["password"])

    def press(self) -> int:
        """Publish one; when its PUBLISH was handed to the kernel, CLOCK_MONOTONIC ns."""
        message = {
            "v": 1, "b": 1, "n": 1, "t": 0, "q": "none", "age": 45, "try": 1, "k": "press", "in": "call", "held": 40,
            "mode": "real",
        }  # fmt: skip
        frame = messages.seal(self._topic, message, self._kid, self._key)
        began_ns = time.monotonic_ns()
        self._client.send_publish(self._topic, frame)
        return began_ns

    def beat(self) -> None:
        """What a post in service does every 30 s."""
        topic = self._topic.replace("/alert", "/beat")
        self._client.send_publish(topic, messages.seal(topic, beat_of(1, int(time.time())), self._kid, self._key), 0)

    def close(self) -> None:
        self._client.close()


@contextmanager
def program(*words: object) -> Iterator[str]:
    """A program of this folder while the block runs; its first line, which says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / str(words[0])), *map(str, words[1:])], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def logs_on_failure(stack: Stack) -> Iterator[None]:
    """The ends of the programs' logs, on stderr, when the block fails."""
    try:
        yield
    except BaseException:
        for part in (stack.backend, stack.gateway):
            print(f"{part.name}{part.log_tail()}", file=sys.stderr)
        raise


def enrol(stack: Stack, sink: WebhookSink, presses: int, beating: int) -> tuple[list[Credentials], list[Credentials]]:
    """A person with a webhook, a site, and devices: those that press and those that only beat."""

    def act(desk: Registrar) -> tuple[list[Credentials], list[Credentials]]:
        contact = Contact("webhook", f"http://127.0.0.1:{sink.port}/bench")
        desk.add_person(stack.org, "camille", "Camille", "supervisor", PASSWORD, "en", [contact])
        desk.import_policy(stack.org, POLICY, "bench")
        desk.add_site(stack.org, "bench", SiteDetails(name="Bench", policy="bench", reporting_s=86_400))
        found = [
            [desk.add_device(stack.org, "bench", "call_post", f"bench-{what}-{number}") for number in range(count)]
            for what, count in (("press", presses), ("beat", beating))
        ]
        desk.write_broker_files()
        return found[0], found[1]

    return stack.desk(act)


def enrol_floor(stack: Stack) -> tuple[Credentials, Credentials]:
    """The floor's own organisation on the same broker: its gateway and one device."""

    def act(desk: Registrar) -> tuple[Credentials, Credentials]:
        desk.add_organisation("floor", "Floor")
        desk.add_site("floor", "bench", SiteDetails(name="Bench"))
        gateway = desk.add_gateway("floor", "gw-1")
        device = desk.add_device("floor", "bench", "call_post", "bench-floor")
        desk.write_broker_files()
        return gateway, device

    return stack.desk(act)


def press_to_dispatch(samples: int, broker_kind: str, *, beats: bool) -> dict[str, Any]:
    """Publish -> first webhook, ours and the floor's in turn."""
    with ExitStack() as scene:
        folder = Path(scene.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        sink = WebhookSink()
        scene.callback(sink.close)
        stack = Stack(folder, broker_kind=broker_kind)
        pressing, beating = enrol(stack, sink, samples + WARM_UP, BEATING if beats else 0)
        floor_gateway, floor_device = enrol_floor(stack)
        scene.enter_context(stack)
        scene.enter_context(logs_on_failure(stack))
        key = signing.key_from_text(floor_device["key"])
        (folder / "floor").mkdir()
        backend_port = scene.enter_context(
            program("floor.py", "backend", folder / "floor" / "backend.db", sink.port, key.hex())
        )
        login = floor_gateway["broker"]
        scene.enter_context(
            program(
                "floor.py", "gateway", folder / "floor" / "gateway.db", stack.ports.broker, login["user"],
                login["password"], backend_port,
            )
        )  # fmt: skip
        for credentials in (floor_device, *pressing, *beating):
            credentials["broker"]["port"] = stack.ports.broker
        if beats:
            (folder / "fleet.json").write_text(json.dumps(beating))
            scene.enter_context(program("beat_source.py", folder / "fleet.json", BEATS_A_SECOND))
            time.sleep(3.0)
        floor = Presser(floor_device)
        scene.callback(floor.close)
        for credentials in pressing:
            presser = Presser(credentials)
            presser.beat()
            presser.close()
        time.sleep(2.0)
        ours_ms, floor_ms = [], []
        due = time.monotonic()
        for number, credentials in enumerate(pressing):
            sink.first_ns.pop(floor.device, None)
            due = _pace(due)
            began_ns = floor.press()
            floor_took = (sink.wait(floor.device, WITHIN_S) - began_ns) / 1e6
            presser = Presser(credentials)
            due = _pace(due)
            began_ns = presser.press()
            took = (sink.wait(presser.device, WITHIN_S) - began_ns) / 1e6
            presser.close()
            if number >= WARM_UP:
                ours_ms.append(took)
                floor_ms.append(floor_took)
        return figures(ours_ms, floor_ms)


def _pace(due: float) -> float:
    time.sleep(max(0.0, due - time.monotonic()))
    return max(due, time.monotonic() - EVERY_S) + EVERY_S


def contact_to_sent(samples: int, broker_kind: str) -> dict[str, Any]:
    """Contact -> lamp *sent* on one virtual board; each alert is closed before the next press."""
    from tocsin_sim import toolchain
    from tocsin_sim.board import Board
    from tocsin_sim.indicator import IN_SERVICE

    toolchain.found()
    with ExitStack() as scene:
        folder = Path(scene.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        sink = WebhookSink()
        scene.callback(sink.close)
        stack = Stack(folder, broker_kind=broker_kind)
        pressing, _ = enrol(stack, sink, 1, 0)
        scene.enter_context(stack)
        scene.enter_context(logs_on_failure(stack))
        pressing[0]["broker"]["port"] = stack.ports.broker
        board = Board.create(folder / "board", pressing[0])
        profile = json.loads((HERE.parents[1] / "firmware" / "profiles" / "call_post.json").read_text())
        debounce_ms = profile["inputs"][0]["debounce_ms"]
        scene.callback(board.close)
        board.power_on()
        supervisor = Supervisor(stack.ports.backend, "camille", PASSWORD)
        scene.callback(supervisor.close)
        if not board.wait_for_state(IN_SERVICE, 30):
            raise TimeoutError(f"the board did not come into service: {board.console()[-500:]}")
        found = []
        for number in range(min(samples, BOARD_SAMPLES) + 5):
            before = len(board.history())
            board.press(200)
            if not board.wait_for(
                lambda before=before: len(board.presses) > before and board.presses[-1].sent_ns is not None, WITHIN_S
            ):
                raise TimeoutError("the lamp did not show *sent*")
            if number >= 5:
                found.append(board.presses[-1].after_ms(board.presses[-1].sent_ns))
            for alert in supervisor.get("/api/v1/alerts?status=open&limit=500")["alerts"]:
                supervisor.post(f"/api/v1/alerts/{alert['id']}/close", {"epoch": alert["epoch"], "reason": "test"})
            if not board.wait_for(lambda: board.colour == "off", WITHIN_S):
                raise TimeoutError("the lamp did not go out")
            time.sleep(0.3)
        measured = figures(found)
        measured["debounce_ms"] = debounce_ms
        measured["p50_after_debounce"] = round(measured["p50"] - debounce_ms, 3)
        return measured


MEASURES = {
    "press_to_dispatch_idle": lambda samples, broker: press_to_dispatch(samples, broker, beats=False),
    "press_to_dispatch_beats500": lambda samples, broker: press_to_dispatch(samples, broker, beats=True),
    "contact_to_sent": contact_to_sent,
    **engine_bench.MEASURES,
}
COLUMNS = ("n", "p50", "p95", "p99", "max", "floor_p50", "floor_p99", "ratio_p50", "ratio_p99")


def show(found: dict[str, dict[str, Any]]) -> None:
    width = max(map(len, found))
    print(" " * width + "".join(f"{column:>11}" for column in COLUMNS))
    for name, measured in found.items():
        print(f"{name:<{width}}" + "".join(f"{measured.get(column, ''):>11}" for column in COLUMNS))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="measures; all of them when none is named")
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--broker", choices=(NATS, MOSQUITTO), default=NATS)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    unknown = sorted(set(asked.what) - set(MEASURES))
    if unknown:
        parser.error(f"no such measure: {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    found = {}
    for name in asked.what or MEASURES:
        print(f"{name} … ", end="", flush=True)
        began = time.monotonic()
        found[name] = MEASURES[name](asked.samples, asked.broker)
        print(f"{time.monotonic() - began:.0f} s", flush=True)
    show(found)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    asked.out.write_text(json.dumps({**kept, **found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
