"""Random histories, seeded: whatever is lost, repeated, forged or cut, a press is sent, and the lamp never lies."""

from device_bench import Bench, Dice
from tocsin_device.outbox import Press

STEPS = 400


def reboot(bench, boot):
    """Power away: what is in the journal stays."""
    held = []
    names = sorted(bench.journal)
    for b, n in names[:8]:
        press = Press(b, n, 0, 0, "none", "call", 40, False)
        press.restored = press.kept = True
        if bench.journal[b, n] == "o":
            press.epoch, press.rank = 1, 1
        held.append(press)
    return Bench(boot, held, 0, bench.journal)


def history(seed):
    dice = Dice(seed)
    bench = Bench(boot=1)
    boot = 1
    minted, stored, answered, flying = [], [], [], []
    for _ in range(STEPS):
        step = dice.below(100)
        if step < 12:
            if len(bench.journal) < 8:
                press = bench.press()
                if press is not None:
                    assert press not in minted, "an identity used twice"
                    assert press in bench.journal, "confirmed and not kept"
                    minted.append(press)
        elif step < 20:
            if bench.device.link.state == "up":
                bench.drop()
        elif step < 40:
            if bench.device.link.state != "up":
                bench.connect()
        elif step < 70:
            for channel, message in bench.sent(dice.below(1000)):
                name = (message.get("b"), message.get("n"))
                if channel == "alert" and dice.chance(70):  # the others are lost on the way
                    assert name in minted
                    if name not in stored:
                        stored.append(name)
                    flying.append((name, "stored", 1))
                elif channel == "event" and dice.chance(80):
                    flying.append((name, "stored", 1))
                elif channel == "beat" and dice.chance(50):
                    bench.alive()
        elif step < 90:
            while flying and dice.chance(80):
                name, result, epoch = flying.pop(dice.below(len(flying)))
                if dice.chance(20):
                    flying.append((name, result, epoch))  # it comes again
                bench.ack(name, result, epoch)
                if name in stored and dice.chance(30):
                    answered.append(name)
                    flying.append((name, "answered", 1))
                elif name in answered and dice.chance(50):
                    flying.append((name, "closed", 1))
        elif step < 93:
            bench.hear({"v": 1, "re": "1-1", "r": "answered", "e": 9}, key=bytes(32))
        elif step < 96:
            boot += 1
            bench = reboot(bench, boot)
            flying = []
        else:
            bench.rest(dice.below(30000))
        bench.sample(False)
        judge(bench, stored, answered)
    for _ in range(200):  # the network comes back for good
        if bench.device.link.state != "up":
            bench.connect()
        for channel, message in bench.sent():
            if channel == "alert":
                if (message["b"], message["n"]) not in stored:
                    stored.append((message["b"], message["n"]))
                bench.ack((message["b"], message["n"]), "stored")
        bench.rest(500)
    assert sorted(stored) == sorted(minted), "lost: %s" % [name for name in minted if name not in stored]


def judge(bench, stored, answered):
    newest = bench.device.outbox.newest()
    if newest is None:
        assert bench.lamp() in ("idle", "in-service", "no-network", "fault")
        return
    name = (newest.b, newest.n)
    if bench.lamp() == "sent":
        assert name in stored, "sent before stored"
    if bench.lamp() == "answered":
        assert name in answered, "answered before a person did"


def test_histories():
    for seed in range(1, 9):
        history(seed)
