"""A virtual board: the real firmware on the real MicroPython, a flash in a file, pins driven and seen from outside.

A board is a folder: `flash.bin` (littlefs under NOR rules), `flash.meters` (programs and erases done), `nvs.json`,
`rtc.bin` (RTC memory: survives a reset, lost with the power), `board.json` (what it is), `start.json` (what the present
start was told), `console.log` (what it printed).

    board = Board.create(folder, credentials)
    board.power_on()
    board.press()
    board.wait_for_state("sent", timeout_s=5)
    board.power_off()

Methods may be called from any thread. Each board has one thread of its own that reads its events, and that starts the
interpreter again, as a chip starts again, after a reset, a watchdog bite or a crash.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tocsin_sim import contacts, toolchain
from tocsin_sim.indicator import ANSWERED, NOT_DELIVERED, RISING_HZ, SENDING, SENT, IndicatorReader

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
STAND_INS = Path(__file__).resolve().with_name("standins")
BLOCK_BYTES = 4096
FLASH_BYTES = 2 * 1024 * 1024  # the file system's part of a 4 MB ESP32
HEAP_BYTES = 96 * 1024  # the firmware's own; what the stand-ins take is measured and added
HOLES_BYTES = 48 * 1024  # room for the holes between the stand-ins, filled before the firmware begins
RTC_BYTES = 4096
JOIN_MS = 150  # how long joining the access point takes
BOOT_S = 0.05  # from reset to the first line of boot.py, on top of the interpreter's own start
CRASH_PAUSE_S = 0.5  # a board that crashes at once is not started again faster than this
MAX_EVENTS = 5000
CHIRP_HZ = 2700  # the one chirp of a press that is kept
TOLD_INSIDE = ("flash_bytes", "unique_id", "join_ms", "ticks_start_ms", "cut_at", "tear")
MAX_CHANGES = 100
EXIT_RESET = 42
EXIT_POWER_CUT = 43


class BoardError(RuntimeError):
    """The board could not be made or started; the message says why."""


@dataclass(frozen=True)
class Event:
    """One thing that happened on the board: its wall-clock instant (ns), its kind, its words.

    Kinds: up, pin, pwm, in, wifi, lost, halt, raised, end (from inside); power, exit (from the host).
    """

    at_ns: int
    kind: str
    words: tuple[str, ...] = ()


@dataclass
class Press:
    """The instants of one press as seen from outside (wall clock, ns; None: not yet, or never)."""

    contact_ns: int
    start: int  # the board's start it fell into, counted from 1
    sending_ns: int | None = (
        None  # the chirp or the blink that says: kept; a press without it was not promised anything
    )
    sent_ns: int | None = None
    answered_ns: int | None = None
    not_delivered_ns: int | None = None

    def after_ms(self, instant_ns: int | None) -> float | None:
        """Milliseconds from the contact to that instant."""
        return None if instant_ns is None else (instant_ns - self.contact_ns) / 1e6


@dataclass(frozen=True)
class Wiring:
    """Which pin is what, out of the firmware's profile."""

    button: int
    closed_level: int
    red: int
    green: int
    buzzer: int
    silent: bool

    @classmethod
    def of(cls, profile: Mapping[str, Any]) -> "Wiring":
        button = profile["inputs"][0]
        return cls(
            button=button["pin"],
            closed_level=0 if button["active"] == "low" else 1,
            red=profile["lamp"]["red"],
            green=profile["lamp"]["green"],
            buzzer=profile["buzzer"]["pin"],
            silent=bool(button.get("silent")),
        )


COLOURS = {(0, 0): "off", (1, 0): "red", (0, 1): "green", (1, 1): "yellow"}


@dataclass
class Board:
    """One board. Make it with `create`, or open an existing folder with `Board(folder)`."""

    folder: Path
    seed: int = 1
    events: list[Event] = field(default_factory=list)
    presses: list[Press] = field(default_factory=list)
    starts: int = 0
    powered: bool = False

    def __post_init__(self) -> None:
        self.folder = Path(self.folder).absolute()
        self.settings: dict[str, Any] = json.loads((self.folder / "board.json").read_text())
        self.wiring = Wiring(**self.settings["wiring"])
        self.credentials: dict[str, Any] = self.settings["credentials"]
        self.indicator = IndicatorReader()
        self.colour = "off"
        self.tone_hz = 0
        self.closed = False
        self._changed = threading.Condition(threading.RLock())
        self._listeners: list[Callable[[Event], None]] = []
        self._levels: dict[int, int] = {}
        self._dice = random.Random(self.seed)
        self._process: subprocess.Popen[bytes] | None = None
        self._control = -1
        self._thread: threading.Thread | None = None
        self._cause = "power"
        self._network: dict[str, str] = {}
        self._expects_contact = False

    # -- making ------------------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        folder: Path,
        credentials: Mapping[str, Any],
        *,
        firmware: Path = FIRMWARE,
        compiled: bool = True,
        extra_files: Mapping[str, bytes] | None = None,
        heap_bytes: int = HEAP_BYTES,
        flash_bytes: int = FLASH_BYTES,
        join_ms: int = JOIN_MS,
        unique_id: str = "",
        seed: int = 1,
    ) -> "Board":
        """Make a board in `folder` (new or replaced), with firmware, libraries and `credentials` on its flash.

        `compiled` puts .mpy files on it, as deployed; `extra_files` {path on the board: content} come last and replace.
        """
        folder = Path(folder).absolute()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        profile = json.loads((firmware / "profiles" / f"{credentials['profile']}.json").read_text())
        identity = unique_id or hashlib.sha256(str(credentials.get("device", folder.name)).encode()).hexdigest()[:12]
        settings = {
            "wiring": vars(Wiring.of(profile)),
            "credentials": dict(credentials),
            "heap_bytes": heap_bytes,
            "flash_bytes": flash_bytes,
            "unique_id": identity,
            "join_ms": join_ms,
            "ticks_start_ms": 0,
            "cut_at": 0,
            "tear": "nothing",
        }
        (folder / "board.json").write_text(json.dumps(settings))
        (folder / "flash.bin").write_bytes(b"\xff" * flash_bytes)
        (folder / "flash.meters").write_bytes(bytes(8 + 4 * (flash_bytes // BLOCK_BYTES)))
        (folder / "rtc.bin").write_bytes(bytes(RTC_BYTES))
        board = cls(folder, seed=seed)
        files = firmware_files(firmware, compiled)
        files["cred.json"] = json.dumps(dict(credentials)).encode()
        files["net.json"] = json.dumps({"ssid": "virtual", "psk": "virtual"}).encode()
        files.update(extra_files or {})
        board.copy(files, blank=True)
        return board

    def copy(self, files: Mapping[str, bytes], *, blank: bool = False) -> None:
        """Write files onto the flash as a technician would; the board must be off. `blank` formats it first."""
        if self.powered:
            raise BoardError("switch the board off before copying files onto its flash")
        source = self.folder / "files"
        shutil.rmtree(source, ignore_errors=True)
        for name, content in files.items():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        (self.folder / "files.list").write_text("".join(f"{name}\n" for name in files))
        script = STAND_INS / "make_flash.py"
        argv = [*toolchain.micropython(), str(script), "flash.bin", str(self.settings["flash_bytes"]), "files"]
        argv.append("format" if blank else "keep")
        done = subprocess.run(argv, cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise BoardError(
                f"the flash of {self.folder.name} could not be written: {done.stdout[-500:]}{done.stderr[-500:]}"
            )
        shutil.rmtree(source)
        (self.folder / "files.list").unlink()

    # -- power -------------------------------------------------------------------------------------------------------

    def power_on(self, timeout_s: float = 10) -> None:
        """Give it power and wait until its boot.py begins."""
        with self._changed:
            if self.powered:
                return
            self.powered = True
            started = self.starts
            self._note(Event(time.time_ns(), "power", ("on",)))
        self._thread = threading.Thread(target=self._live, name=f"board-{self.folder.name}", daemon=True)
        self._thread.start()
        if not self.wait_for(lambda: self.starts > started, timeout_s):
            tail = self.console()[-600:]
            self.power_off()
            raise BoardError(f"{self.folder.name} did not start within {timeout_s} s: {tail}")

    def power_off(self, *, rtc_garbage: bool = False) -> None:
        """Cut the power at this instant; RTC memory is lost (or left as garbage: it may be anything)."""
        with self._changed:
            was_on, self.powered = self.powered, False
            self._cause = "power"
            self._note(Event(time.time_ns(), "power", ("off",)))
            self._kill()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=10)
        if was_on:
            memory = (
                random.Random(self._dice.random()).randbytes(RTC_BYTES - 8) if rtc_garbage else bytes(RTC_BYTES - 8)
            )
            (self.folder / "rtc.bin").write_bytes(bytes(8) + memory)

    def power_cut(self, off_s: float = 0.2, *, rtc_garbage: bool = False) -> None:
        """Power away for that long, then back."""
        self.power_off(rtc_garbage=rtc_garbage)
        time.sleep(off_s)
        self.power_on()

    def reset(self) -> None:
        """The reset button: everything restarts, RTC memory stays."""
        self._restart("reset")

    def kill(self) -> None:
        """SIGKILL, as the hardware watchdog does: restarts by itself and says so."""
        self._restart("watchdog")

    def close(self) -> None:
        """Power off for good."""
        self.power_off()

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- contacts, network, voltages ---------------------------------------------------------------------------------

    def press(self, hold_ms: int = 300, bounce: str = "new") -> None:
        """A person presses the button for that long; returns at once. `bounce` is one of contacts.BOUNCES."""
        self._expects_contact = True
        self.play(contacts.pressing(hold_ms, bounce, self._dice))

    def hold(self, bounce: str = "new") -> None:
        """The contact closes and stays closed until `release`."""
        self._expects_contact = True
        self.play(contacts.closing(bounce, self._dice))

    def release(self, bounce: str = "new") -> None:
        """The contact opens."""
        self.play(contacts.opening(bounce, self._dice))

    def spike(self, width_us: int = 200) -> None:
        """A disturbance on the button's wires."""
        self.play(contacts.spike(width_us))

    def play(self, wave: Iterable[tuple[int, bool]], pin: int | None = None) -> None:
        """Any waveform on the button's pin, or another: (µs from now, closed); open leaves the pin to its pull.

        Contacts keep the host's time: what a busy board notices late still happened when it happened.
        """
        level = self.wiring.closed_level
        changes = list(wave)
        if len(changes) > MAX_CHANGES:
            raise ValueError(f"{len(changes)} level changes at once; a board takes {MAX_CHANGES}")
        steps = ",".join(f"{at_us}:{level if closed else 'z'}" for at_us, closed in changes)
        self._tell(f"in {self.wiring.button if pin is None else pin} {time.time_ns()} {steps}")

    def wifi(self, present: bool) -> None:
        """The access point appears or disappears; stays so through resets."""
        self._tell_and_keep("wifi", f"wifi {int(present)}")

    def flow(self, passes: bool) -> None:
        """With False, Wi-Fi still says connected and nothing passes."""
        self._tell_and_keep("flow", f"flow {int(passes)}")

    def voltage(self, pin: int, millivolts: int) -> None:
        """What the ADC of that pin will read."""
        self._tell_and_keep(f"adc {pin}", f"adc {pin} {millivolts}")

    # -- seeing ------------------------------------------------------------------------------------------------------

    @property
    def has_wifi(self) -> bool:
        """Whether the access point is there."""
        return self._network.get("wifi") != "wifi 0"

    @property
    def state(self) -> str:
        """What the lamp says now, one of indicator.STATES."""
        with self._changed:
            self._read_presses(time.time_ns())
            return self.indicator.state

    def history(self) -> list[Press]:
        """Copies of the presses so far, oldest first, with the instants known by now."""
        with self._changed:
            self._read_presses(time.time_ns())
            return [Press(**vars(press)) for press in self.presses]

    def wait_for(self, true: Callable[[], object], timeout_s: float) -> bool:
        """Wait until that becomes true; False when it did not in time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not true():
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                # Some truths come with time alone: a light is steady once it has not changed for long enough.
                self._changed.wait(min(left_s, 0.05))
                self._read_presses(time.time_ns())
            return True

    def wait_for_state(self, state: str, timeout_s: float) -> bool:
        """Wait until the lamp says that."""
        return self.wait_for(lambda: self.indicator.state == state, timeout_s)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """`listener(event)` is called on the board's thread for every event from now on; it must return at once."""
        with self._changed:
            self._listeners.append(listener)

    def console(self) -> str:
        """What the board printed since it was made."""
        log = self.folder / "console.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def flash_wear(self) -> tuple[int, int, int]:
        """(programs, erases, erases of the most erased block) since the board was made."""
        data = (self.folder / "flash.meters").read_bytes()
        programs, erases = struct.unpack_from("=II", data)
        return programs, erases, max(struct.unpack_from(f"={(len(data) - 8) // 4}I", data, 8))

    def cpu_s(self) -> float:
        """Processor time the present interpreter has used."""
        with self._changed:
            if self._process is None:
                return 0.0
            words = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    # -- inside ------------------------------------------------------------------------------------------------------

    def _live(self) -> None:
        while self.powered:
            began = time.monotonic()
            event_reader, event_writer = os.pipe()
            control_reader, control_writer = os.pipe()
            argv = self._argv()
            told = {"argv": argv, "reset_cause": self._cause, "event_fd": event_writer, "control_fd": control_reader}
            told["free_bytes"] = self.settings["heap_bytes"] * 62 // 63  # the rest is the collector's own table
            told |= {name: self.settings[name] for name in TOLD_INSIDE}
            (self.folder / "start.json").write_text(json.dumps(told))
            with open(self.folder / "console.log", "ab") as log, self._changed:  # noqa: PTH123
                if self.powered:
                    self._control = control_writer
                    for line in self._network.values():
                        self._tell(line)  # in the pipe before the start, which is how it is obeyed before boot.py
                    self._process = subprocess.Popen(
                        argv,
                        cwd=self.folder,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env=environment(),
                        pass_fds=(event_writer, control_reader),
                        start_new_session=True,
                    )
            os.close(event_writer)
            os.close(control_reader)
            with os.fdopen(event_reader, "rb") as events:
                for told_line in events:
                    self._hear(told_line.decode(errors="replace").split())
            self._bury(control_writer)
            if self.powered:
                ran_s = time.monotonic() - began
                time.sleep(BOOT_S if ran_s > CRASH_PAUSE_S else CRASH_PAUSE_S - ran_s)

    def _bury(self, control_writer: int) -> None:
        """The interpreter ended: know why, and what the next start is to be told."""
        with self._changed:
            process, self._process = self._process, None
            self._control = -1
            os.close(control_writer)
            status = process.wait() if process else 0
            if status == EXIT_POWER_CUT:
                self.powered = False
            elif status == -signal.SIGALRM:
                self._cause = "watchdog"
            elif status == EXIT_RESET:
                self._cause = "reset"
            elif status != -signal.SIGKILL:
                self._cause = "panic"
            self._levels.clear()
            self.colour, self.tone_hz, self.closed = "off", 0, False
            now_ns = time.time_ns()
            self.indicator.power(now_ns, on=False)
            self._note(Event(now_ns, "exit", (str(status), self._cause)))

    def _argv(self) -> list[str]:
        heap = self.settings["heap_bytes"] + stand_ins_heap_bytes() + HOLES_BYTES
        script = str(STAND_INS / "start.py")
        return [*toolchain.micropython(), "-X", f"heapsize={heap}", script, str(self.folder)]

    def _restart(self, cause: str) -> None:
        with self._changed:
            started = self.starts
            self._cause = cause
            self._kill()
        self.wait_for(lambda: self.starts > started or not self.powered, 10)

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _tell(self, line: str) -> None:
        with self._changed:
            if self._control >= 0:
                with contextlib.suppress(BrokenPipeError):
                    os.write(self._control, line.encode() + b"\n")

    def _tell_and_keep(self, what: str, line: str) -> None:
        with self._changed:
            self._network[what] = line
            self._tell(line)

    def _hear(self, words: list[str]) -> None:
        if len(words) < 2 or not words[0].isdigit():
            return
        with self._changed:
            event = Event(int(words[0]), words[1], tuple(words[2:]))
            if event.kind == "up":
                self.starts += 1
                self._cause = "reset"
                self.indicator.power(event.at_ns, on=True)
            elif event.kind == "pin":
                self._see_pin(event.at_ns, int(event.words[0]), int(event.words[1]))
            elif event.kind == "pwm":
                self._see_tone(event.at_ns, *map(int, event.words))
            elif event.kind == "in" and int(event.words[0]) == self.wiring.button:
                self._see_contact(event.at_ns - int(event.words[2]) * 1000, int(event.words[1]))
            self._read_presses(event.at_ns)
            self._note(event)

    def _see_pin(self, at_ns: int, pin: int, level: int) -> None:
        self._levels[pin] = level
        colour = COLOURS[self._levels.get(self.wiring.red, 0), self._levels.get(self.wiring.green, 0)]
        if colour != self.colour:
            self.colour = colour
            self.indicator.light(at_ns, colour)

    def _see_tone(self, at_ns: int, pin: int, hz: int, duty: int) -> None:
        if pin == self.wiring.buzzer:
            before_hz, self.tone_hz = self.tone_hz, hz if duty else 0
            # The rising tones end on the chirp's note.
            if self.tone_hz == CHIRP_HZ and before_hz not in (CHIRP_HZ, RISING_HZ):
                self._read_kept(at_ns)
            self.indicator.sound(at_ns, self.tone_hz)

    def _see_contact(self, at_ns: int, level: int) -> None:
        self.closed = level == self.wiring.closed_level
        if self.closed and self._expects_contact:
            self._expects_contact = False
            self.presses.append(Press(contact_ns=at_ns, start=self.starts))
            del self.presses[:-200]

    def _read_presses(self, now_ns: int) -> None:
        self.indicator.advance(now_ns)
        for press in self.presses[-20:]:
            # A post that sounds says it with a chirp; its lamp may blink for an earlier press.
            if press.sending_ns is None and press.start == self.starts and self.wiring.silent:
                press.sending_ns = self.indicator.began(SENDING, press.contact_ns)
            if press.sending_ns is not None and press.sent_ns is None:
                press.sent_ns = self.indicator.began(SENT, press.sending_ns)
            if press.sending_ns is not None and press.answered_ns is None:
                press.answered_ns = self.indicator.began(ANSWERED, press.sending_ns)
            if press.sending_ns is not None and press.not_delivered_ns is None:
                press.not_delivered_ns = self.indicator.began(NOT_DELIVERED, press.sending_ns)

    def _read_kept(self, at_ns: int) -> None:
        """The chirp: the press made last is kept."""
        for press in self.presses[-1:]:
            if press.sending_ns is None and press.start == self.starts:
                press.sending_ns = at_ns

    def _note(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            del self.events[:-MAX_EVENTS]
            for listener in self._listeners:
                listener(event)
            self._changed.notify_all()


# -- what goes onto a flash ------------------------------------------------------------------------------------------

_heap_taken: dict[str, int] = {}
_heap_lock = threading.Lock()


def firmware_files(firmware: Path = FIRMWARE, compiled: bool = True) -> dict[str, bytes]:
    """{path on the board: content} of the firmware and umqtt.simple, laid out as on a real board."""
    files = {}
    for name in ("boot.py", "main.py"):
        files[name] = (firmware / name).read_bytes()
    for path in sorted((firmware / "profiles").glob("*.json")):
        files[f"profiles/{path.name}"] = path.read_bytes()
    sources = [(firmware / "lib", path) for path in sorted((firmware / "lib").rglob("*.py"))]
    umqtt = toolchain.umqtt_simple()
    sources.append((umqtt, umqtt / "umqtt" / "simple.py"))
    for root, path in sources:
        name = f"lib/{path.relative_to(root)}"
        if compiled:
            files[name[:-3] + ".mpy"] = compiled_module(path, name)
        else:
            files[name] = path.read_bytes()
    return files


def compiled_module(path: Path, name: str) -> bytes:
    """The .mpy of one module, from the cache when its text has not changed; `name` is what a traceback will show."""
    source = path.read_bytes()
    compiler = [*toolchain.mpy_cross(), "-O3"]  # no line numbers: 2 kB of heap; a traceback still names its functions
    key = hashlib.sha256(b"\0".join([source, name.encode(), *map(os.fsencode, compiler)])).hexdigest()
    kept = toolchain.cache_folder() / "mpy" / f"{key}.mpy"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = kept.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        done = subprocess.run(
            [*compiler, "-s", name, "-o", str(new), str(path)], capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise BoardError(f"{path} does not compile: {done.stderr.strip() or done.stdout.strip()}")
        new.replace(kept)
    return kept.read_bytes()


def stand_ins() -> Path:
    """The folder of compiled stand-ins, made when their source changed."""
    sources = sorted(path for path in STAND_INS.glob("*.py") if path.name not in ("start.py", "make_flash.py"))
    modules = {path.stem: compiled_module(path, f"standins/{path.name}") for path in sources}
    key = hashlib.sha256(b"".join(name.encode() + module for name, module in modules.items())).hexdigest()[:16]
    folder = toolchain.cache_folder() / f"standins-{key}"
    if not folder.is_dir():
        new = folder.with_name(f".{folder.name}-{os.getpid()}-{threading.get_ident()}")
        new.mkdir()
        for name, module in modules.items():
            (new / f"{name}.mpy").write_bytes(module)
        try:
            new.rename(folder)
        except OSError:
            shutil.rmtree(new)
    return folder


def environment() -> dict[str, str]:
    """The environment of a board's interpreter: where the stand-ins are, and nothing of ours."""
    return {"MICROPYPATH": f"{stand_ins()}:.frozen"}


def stand_ins_heap_bytes() -> int:
    """What the stand-ins take of the heap before the firmware begins: measured once, rounded up to 1 kB."""
    with _heap_lock:
        folder = stand_ins()
        kept = folder / "heap_bytes"
        if str(folder) not in _heap_taken:
            if not kept.exists():
                new = kept.with_suffix(f".{os.getpid()}")
                new.write_text(str(_measured_heap_bytes(folder)))
                new.replace(kept)
            _heap_taken[str(folder)] = int(kept.read_text())
        return _heap_taken[str(folder)]


def _measured_heap_bytes(folder: Path) -> int:
    with contextlib.ExitStack() as stack:
        place = folder.with_name(f".measure-{os.getpid()}-{threading.get_ident()}")
        place.mkdir()
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        event_reader, event_writer = os.pipe()
        control_reader, control_writer = os.pipe()
        stack.callback(os.close, control_writer)
        (place / "flash.bin").write_bytes(b"\xff" * 16 * BLOCK_BYTES)
        (place / "flash.meters").write_bytes(bytes(8 + 4 * 16))
        (place / "rtc.bin").write_bytes(bytes(RTC_BYTES))
        started = [*toolchain.micropython(), "-X", "heapsize=1m", str(STAND_INS / "start.py"), str(place)]
        settings = {"flash_bytes": 16 * BLOCK_BYTES, "reset_cause": "power", "unique_id": "00" * 6, "join_ms": 1}
        settings |= {"event_fd": event_writer, "control_fd": control_reader, "cut_at": 0, "tear": "nothing"}
        (place / "start.json").write_text(
            json.dumps({"argv": started, "ticks_start_ms": 0, "free_bytes": 1 << 30, **settings})
        )
        fresh = [*toolchain.micropython(), str(STAND_INS / "make_flash.py"), "flash.bin", str(16 * BLOCK_BYTES), "none"]
        (place / "none.list").touch()
        subprocess.run([*fresh, "format"], cwd=place, env=environment(), check=True, timeout=30)
        process = subprocess.Popen(
            started,
            cwd=place,
            env=environment(),
            stdin=subprocess.DEVNULL,
            pass_fds=(event_writer, control_reader),
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        os.close(event_writer)
        os.close(control_reader)
        with os.fdopen(event_reader, "rb") as events:
            words = events.readline().split()
        if len(words) != 5 or words[1] != b"up":
            raise BoardError("the stand-ins do not start: run the tests of tests/simulators")
        return (int(words[4]) + 1023) // 1024 * 1024
