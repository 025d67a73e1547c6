"""Each channel has its own bounded workers and its own queue: who hangs, hangs alone (invariant 14)."""

import threading
import time
from collections import Counter
from collections.abc import Callable

from backend_rig import Recorder, Rig, steps, who
from tocsin_backend.channels import Outgoing
from tocsin_backend.channels.console import Console
from tocsin_backend.channels.push import Push
from tocsin_backend.channels.sms import Sms
from tocsin_backend.domain import dispatches
from tocsin_backend.domain.dispatches import Outcome


class Hanging(Recorder):
    """A channel whose peer takes what it gets and says nothing until `over` is set."""

    def __init__(self, name: str, workers: int) -> None:
        super().__init__(name)
        self.workers = workers
        self.over = threading.Event()
        self.begun: list[str] = []

    def send(self, outgoing: Outgoing) -> Outcome:
        self.begun.append(outgoing.dispatch_id)
        assert self.over.wait(60)
        return super().send(outgoing)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def hang(rig: Rig, workers: int) -> Hanging:
    """The rig's webhook channel hangs; its workers and those of e-mail run as they do in the field."""
    channel = Hanging("webhook", workers)
    sender = rig.engine.senders["webhook"]
    sender.channel = channel
    sender.start()
    rig.engine.senders["email"].start()
    return channel


def stop(rig: Rig) -> None:
    for name in ("webhook", "email"):
        rig.engine.senders[name].stop(10)


def test_a_channel_that_hangs_for_30_s_delays_no_other(rig: Rig) -> None:
    for number in range(6):
        rig.person(f"p{number}", webhook=f"https://x/{number}", email=f"p{number}@x.fr")
    rig.policy(steps((60, [who(f"p{number}") for number in range(6)])))
    post = rig.post("bau-1", policy="plan")
    webhook = hang(rig, workers=2)
    email = rig.channels["email"]
    try:
        post.press()
        until(lambda: len(email.sent) == 6 and len(webhook.begun) == 2)
        for _ in range(3):
            rig.clock.now += 10_000
            rig.engine.turn()
        other = rig.post("bau-2", policy="plan")
        other.press()
        until(lambda: len(email.sent) == 12)
        assert len(webhook.begun) == 2  # its workers, no more and no less
        assert webhook.sent == []
    finally:
        webhook.over.set()
        stop(rig)


def test_a_long_queue_behind_a_slow_peer_makes_no_duplicate(rig: Rig) -> None:
    """A lease counts from the moment a worker begins: waiting alone is no sign of a lost sender."""
    people = 40
    for number in range(people):
        rig.person(f"p{number:02}", webhook=f"https://x/{number}")
    rig.policy(steps((600, [who(f"p{number:02}") for number in range(people)])))
    post = rig.post("bau-1", policy="plan")
    webhook = hang(rig, workers=1)
    turns = iter(range(people))
    real = Recorder.send

    def slowly(outgoing: Outgoing) -> Outcome:
        """Each takes 7 s; in the middle of it the engine looks at what is due."""
        if next(turns, 0) and not webhook.over.is_set():
            webhook.begun.append(outgoing.dispatch_id)
        rig.clock.now += 3_500
        rig.engine.turn()
        rig.clock.now += 3_500
        rig.engine.turn()
        return real(webhook, outgoing)

    webhook.send = slowly  # type: ignore[method-assign]
    try:
        post.press()
        until(lambda: len(webhook.sent) >= people)
        rig.settle()
    finally:
        webhook.over.set()
        stop(rig)
    assert set(Counter(each.dispatch_id for each in webhook.sent).values()) == {1}
    assert rig.sql("SELECT count(*) FROM dispatch WHERE channel='webhook' AND maybe_dup") == [(0,)]
    assert rig.sql("SELECT count(*) FROM dispatch WHERE channel='webhook' AND status='handed'") == [(people,)]


def test_a_worker_that_hangs_beyond_its_deadline_loses_its_lease(rig: Rig) -> None:
    rig.person("anne", webhook="https://x/1")
    rig.policy(steps((600, [who("anne")])))
    post = rig.post("bau-1", policy="plan")
    webhook = hang(rig, workers=2)
    try:
        post.press()
        until(lambda: len(webhook.begun) == 1)
        rig.clock.now += dispatches.LEASE_MS
        rig.engine.turn()
        rig.clock.now += dispatches.LEASE_MS
        rig.engine.turn()
        until(lambda: len(webhook.begun) == 2)
        assert rig.sql("SELECT maybe_dup FROM dispatch WHERE channel='webhook'")[0][0]
    finally:
        webhook.over.set()
        stop(rig)


def test_every_channel_says_what_it_confirms_and_how_it_is_answered() -> None:
    known = {"handed", "delivered", "seen", "answered"}
    for channel in (Console(), Push(), Sms()):
        assert set(channel.confirms) <= known
        assert channel.answers in ("", "link", "code", "console")
        assert ("answered" in channel.confirms) == bool(channel.answers)
    assert Sms().patience_ms > 30_000
