"""The virtual board behaves as the chip does where the firmware's safety depends on it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lone_broker import LoneBroker, credentials
from tocsin_sim.board import HEAP_BYTES, Board, BoardError

Program = Callable[[str], Board]

WAIT = "\nimport time\nwhile True:\n    time.sleep_ms(50)\n"


def said(board: Board, text: str, timeout_s: float = 10) -> bool:
    """Wait until the board printed that."""
    return board.wait_for(lambda: text in board.console(), timeout_s)


def test_the_ninth_pending_interrupt_is_lost_in_silence(program: Program) -> None:
    """Each side waits for what the other has seen, so that a slow machine changes nothing."""
    board = program("""
import machine, time
edges = 0
def edge(pin):
    global edges
    edges += 1
button = machine.Pin(27, machine.Pin.IN, machine.Pin.PULL_UP)
go_on = machine.Pin(26, machine.Pin.IN, machine.Pin.PULL_UP)
button.irq(handler=edge, trigger=machine.Pin.IRQ_FALLING)
print("idle")
told = 0
while told < 12:
    time.sleep_ms(2)
    if edges != told:
        told = edges
        print("counted", told)
state = machine.disable_irq()
edges = 0
print("busy")
while go_on.value():
    time.sleep_ms(2)
machine.enable_irq(state)
while edges < 8:
    time.sleep_ms(2)
time.sleep_ms(100)
print("edges", edges, "level", button.value())
""")

    def contacts() -> int:
        return sum(event.kind == "in" and event.words[0] == "27" for event in board.events)

    board.power_on()
    assert said(board, "idle")
    for count in range(1, 13):
        board.play([(0, True), (500, False)])
        assert said(board, f"counted {count}\n"), board.console()
        assert board.wait_for(lambda count=count: contacts() == 2 * count, 10)
    assert said(board, "busy")
    board.play([(at_us, at_us % 40000 == 0) for at_us in range(40000, 520000, 20000)])
    assert board.wait_for(lambda: contacts() == 24 + 24, 10)
    board.play([(0, True)], pin=26)
    assert said(board, "level")
    assert "edges 8 level 1" in board.console()
    assert [event.words for event in board.events if event.kind == "lost"] == [("1",), ("2",), ("3",), ("4",)]


def test_setblocking_cancels_the_timeout(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        board = program(f"""
import socket, time, errno, network
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect("a", "b")
while not wlan.isconnected():
    time.sleep_ms(10)
sock = socket.socket()
sock.connect(socket.getaddrinfo("127.0.0.1", {server.getsockname()[1]})[0][-1])
def reading():
    start = time.ticks_ms()
    try:
        found = sock.read(1)
    except OSError as error:
        found = error.args[0] == errno.ETIMEDOUT
    return found, time.ticks_diff(time.ticks_ms(), start)
sock.settimeout(0.2)
print("timed", reading())
sock.setblocking(False)
print("polled", min((reading() for _ in range(5)), key=lambda each: each[1]))
sock.setblocking(True)
print("blocking", reading())
""")
        board.power_on()
        peer, _ = server.accept()
        with peer:
            assert said(board, "polled")
            time.sleep(0.8)  # four times the old timeout
            peer.sendall(b"x")
            assert said(board, "blocking")
        words = {line.split()[0]: eval(line.split(" ", 1)[1]) for line in board.console().splitlines()}
        assert words["timed"][0] is True
        assert words["timed"][1] >= 150
        assert words["polled"][0] is None
        assert words["polled"][1] < 100
        assert words["blocking"][0] == b"x"
        assert words["blocking"][1] >= 600


def test_nothing_travels_while_wifi_is_down(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        board = program(f"""
import socket, time, network, select
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
try:
    socket.getaddrinfo("127.0.0.1", 80)
except OSError as error:
    print("no resolver", error.args[0])
wlan.connect("a", "b")
try:
    wlan.connect("a", "b")
except OSError as error:
    print("second connect:", error)
while not wlan.isconnected():
    time.sleep_ms(10)
sock = socket.socket()
sock.connect(socket.getaddrinfo("127.0.0.1", {server.getsockname()[1]})[0][-1])
poll = select.poll()
poll.register(sock, select.POLLIN)
print("up")
while wlan.isconnected():
    time.sleep_ms(5)
sock.write(b"late")
sock.setblocking(False)
print("down", wlan.status(), sock.read(1), poll.poll(50))
while not wlan.isconnected():
    time.sleep_ms(5)
print("back", poll.poll(2000)[0][0] is sock, sock.read(4))
""")
        board.power_on()
        peer, _ = server.accept()
        with peer:
            assert said(board, "up")
            board.wifi(False)
            peer.sendall(b"kept")
            assert said(board, "down 200 None []")
            peer.setblocking(False)
            with pytest.raises(BlockingIOError):
                peer.recv(4)
            board.wifi(True)
            assert said(board, "back True b'kept'")
            peer.setblocking(True)
            peer.settimeout(5)
            assert peer.recv(4) == b"late"
    assert "no resolver -202" in board.console()
    assert "second connect: Wifi Internal Error" in board.console()


def test_the_watchdog_bites_and_survives_a_soft_reset(program: Program) -> None:
    board = program("""
import machine, time
cause = machine.reset_cause()
print("cause", cause)
if cause == machine.PWRON_RESET:
    machine.WDT(timeout=700)
    time.sleep_ms(100)
    machine.soft_reset()
if cause == machine.SOFT_RESET:
    while True:
        pass
""")
    board.power_on()
    assert said(board, "cause 3"), board.console()
    assert board.console().split() == ["cause", "1", "cause", "5", "cause", "3"]
    exits = [event for event in board.events if event.kind == "exit"]
    first = next(event for event in board.events if event.kind == "up")
    assert exits[0].words == (str(-signal.SIGALRM), "watchdog")
    assert (exits[0].at_ns - first.at_ns) / 1e9 >= 0.5, "not before its 0.7 s"


def test_what_survives_what(program: Program) -> None:
    board = program(f"""
import machine, esp32, os
from machine import RTC
nvs = esp32.NVS("t")
def count(read):
    try:
        return read()
    except (OSError, ValueError):
        return 0
rtc = count(lambda: int(RTC().memory()))
kept = count(lambda: nvs.get_i32("kept"))
loose = count(lambda: nvs.get_i32("loose"))
disk = count(lambda: int(open("/count").read()))
RTC().memory(str(rtc + 1))
nvs.set_i32("kept", kept + 1)
nvs.commit()
nvs.set_i32("loose", 9)
with open("/count", "w") as file:
    file.write(str(disk + 1))
print("cause", machine.reset_cause(), "rtc", rtc, "nvs", kept, loose, "disk", disk, len(machine.unique_id()))
{WAIT}""")
    board.power_on()
    assert said(board, "cause 1 rtc 0 nvs 0 0 disk 0 6")
    board.reset()
    assert said(board, "cause 2 rtc 1 nvs 1 0 disk 1 6")
    board.kill()
    assert said(board, "cause 3 rtc 2 nvs 2 0 disk 2 6")
    board.power_cut()
    assert said(board, "cause 1 rtc 0 nvs 3 0 disk 3 6")
    board.power_cut(rtc_garbage=True)
    assert said(board, "nvs 4 0 disk 4 6")
    programs, _, _ = board.flash_wear()
    assert programs >= 5


def test_the_clock_starts_in_2000_and_ticks_wrap(program: Program) -> None:
    board = program("""
import time, machine
print("epoch", time.gmtime(0)[0], "year", time.gmtime()[0], type(time.time()))
start = time.ticks_ms()
time.sleep_ms(300)
end = time.ticks_ms()
print("wrapped", end < start, 280 <= time.ticks_diff(end, start) <= 600)
machine.RTC().datetime((2026, 3, 1, 0, 12, 30, 15, 0))
print("set", time.gmtime()[:6])
""")
    board.settings["ticks_start_ms"] = 2**30 - 150
    board.power_on()
    assert said(board, "set")
    assert board.console().splitlines() == [
        "epoch 2000 year 2000 <class 'int'>",
        "wrapped True True",
        "set (2026, 3, 1, 12, 30, 15)",
    ]


def test_pins_tell_the_outside(program: Program) -> None:
    board = program(f"""
from machine import PWM, Pin, ADC, Timer
Pin(25, Pin.OUT, value=0)
Pin(25).value(1)
Pin(26, Pin.OUT).on()
PWM(Pin(33), freq=1800, duty_u16=32768)
print("adc", ADC(Pin(34)).read_uv())
for wrong in (lambda: Pin(99), lambda: Pin(34, Pin.OUT), lambda: ADC(Pin(4)), lambda: Timer(7)):
    try:
        wrong()
        print("accepted")
    except ValueError as error:
        print("refused", error)
ticks = 0
def tick(timer):
    global ticks
    ticks += 1
import time
began = time.ticks_ms()
Timer(0, period=10, callback=tick)
while ticks < 40:
    time.sleep_ms(5)
Timer(0).deinit()
print("ticks", ticks * 10 <= time.ticks_diff(time.ticks_ms(), began) + 10)
{WAIT}""")
    board.voltage(34, 1650)
    board.power_on()
    assert said(board, "ticks True")
    assert (board.colour, board.tone_hz) == ("yellow", 1800)
    assert "adc 1650000" in board.console()
    assert board.console().count("refused") == 4
    board.power_off()
    assert (board.colour, board.tone_hz, board.state) == ("off", 0, "off")


def test_the_firmware_has_its_96_kilobytes_and_no_more(program: Program) -> None:
    board = program(WAIT)
    board.power_on()
    free = int(next(event for event in board.events if event.kind == "up").words[1])
    # The collector's own table takes 1/65 of a heap.
    assert HEAP_BYTES * 0.95 <= free <= HEAP_BYTES + 1024


def test_a_program_that_raises_is_seen(program: Program) -> None:
    board = program("import no_such_module")
    board.power_on()
    assert board.wait_for(lambda: any(event.kind == "raised" for event in board.events), 5)
    assert "ImportError: no module named 'no_such_module'" in board.console()


def test_a_board_that_cannot_start_says_why(program: Program) -> None:
    board = program(WAIT)
    (board.folder / "flash.bin").write_bytes(b"\xff" * board.settings["flash_bytes"])
    with pytest.raises(BoardError, match=r"(?s)did not start within 1 s: .*OSError"):
        board.power_on(timeout_s=1)


def test_no_board_outlives_its_host(tmp_path: Path) -> None:
    script = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from lone_broker import credentials
from tocsin_sim.board import Board
files = {{"main.py": {WAIT.encode()!r}}}
board = Board.create(Path({str(tmp_path / "orphan")!r}), credentials("bau-9", 1), extra_files=files)
board.power_on()
print(board._process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        host.kill()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the interpreter is still there"
        time.sleep(0.02)


# -- with the real firmware ------------------------------------------------------------------------------------------


def answer(broker: LoneBroker, what: str) -> None:
    last = broker.presses()[-1]
    broker.ack("bau-1", re=f"{last['b']}-{last['n']}", r=what, e=1, al="0" * 36)


def test_a_press_lights_the_lamp_yellow_then_green(post: Board, broker: LoneBroker) -> None:
    post.press(300, "worn")
    assert post.wait_for_state("sent", 5), (post.state, post.console())
    answer(broker, "answered")
    assert post.wait_for_state("answered", 5)
    answer(broker, "closed")
    assert post.wait_for_state("in service", 12)
    assert len(broker.presses()) == 1
    (press,) = post.history()
    instants = [press.contact_ns, press.sending_ns, press.sent_ns, press.answered_ns]
    assert None not in instants
    assert instants == sorted(instants, key=lambda at: at or 0)
    assert press.not_delivered_ns is None


def test_a_spike_is_no_press(post: Board, broker: LoneBroker) -> None:
    for width_us in (50, 500, 2000, 8000):
        post.spike(width_us)
        time.sleep(0.1)
    assert broker.wait_for_presses(1, 0.5) == []
    assert post.history() == []


def test_power_cuts_lose_no_press_that_was_shown(post: Board, broker: LoneBroker) -> None:
    """P1 in small: the lamp blinked, so the press is kept, whatever the power does next."""
    broker.answers = False
    shown = 0
    for round_number in range(4):
        post.press(200, "new")
        shown += 1
        assert post.wait_for(lambda: len(post.presses) == shown and post.presses[-1].sending_ns, 5)  # noqa: B023
        time.sleep(0.01 * round_number)
        post.power_cut(0.05)
        assert post.wait_for(lambda: post.colour != "off", 10)
    assert post.starts == 5
    broker.answers = True
    assert len(broker.wait_for_presses(shown, 15)) == shown
    assert len({(press["b"], press["n"]) for press in broker.presses()}) == shown


def test_without_wifi_the_lamp_says_so_and_the_press_leaves_later(post: Board, broker: LoneBroker) -> None:
    post.power_off()
    post.wifi(False)
    post.power_on()
    assert post.wait_for_state("no network", 20), post.state
    post.press(200)
    assert post.wait_for(lambda: post.presses and post.presses[-1].sending_ns, 5)
    assert broker.presses() == []
    post.wifi(True)
    assert post.wait_for_state("sent", 20), (post.state, post.console()[-500:])
    assert len(broker.presses()) == 1


def test_twelve_boards_at_once_are_cheap(tmp_path: Path, broker: LoneBroker) -> None:
    """Only that they start quickly and leave the processor alone: the figures are printed, the bar is generous."""
    boards = [
        Board.create(tmp_path / str(number), credentials(f"bau-{number}", 1), seed=number) for number in range(12)
    ]
    try:
        start = time.monotonic()
        for board in boards:
            board.power_on()
        started_s = time.monotonic() - start
        before = [board.cpu_s() for board in boards]
        time.sleep(3)
        share = [(board.cpu_s() - used) / 3 for board, used in zip(boards, before, strict=True)]
        print(f"12 boards up in {started_s:.2f} s; processor each {min(share):.3f} to {max(share):.3f}")
        assert started_s < 10
        assert sum(share) < 1.5
        assert threading.active_count() < 40
        assert len(list(Path(f"/proc/{os.getpid()}/fd").iterdir())) < 200
    finally:
        for board in boards:
            board.close()
