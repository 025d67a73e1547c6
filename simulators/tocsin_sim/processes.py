"""Child processes on a leash: each in a session of its own, its words in a file, gone when we are gone.

`setpriv --pdeathsig` (util-linux) has the kernel kill the child when the thread that started it ends, so every child is
started by one thread that lives as long as we do. Ctrl-C reaches only us: we stop the children, in order.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

READY_WITHIN_S = 60.0  # a start of Python with the backend's imports, on a busy machine of two cores
STOP_WITHIN_S = 5.0
ASK_EVERY_S = 0.02
LOG_TAIL_LINES = 8

_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starts-processes")


class ProcessError(RuntimeError):
    """A process did not start, or stopped by itself; the text holds the end of its log."""


def leashed(argv: Sequence[str]) -> list[str]:
    """The same command, killed by the kernel when its starter is gone (where util-linux is new enough to know how)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *argv] if setpriv else list(argv)


def spawn(argv: Sequence[str], log_file: Path, folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a leashed command whose output is appended to `log_file`."""

    def start() -> subprocess.Popen[bytes]:
        with log_file.open("ab") as log:
            return subprocess.Popen(
                leashed(argv),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )

    return _starter.submit(start).result()


class Process:
    """One program that can be started, stopped, killed and started again; never two of it at once.

    `ready` is asked until it says True: a fact, such as an answered request, never a delay.
    """

    def __init__(
        self, name: str, argv: Sequence[str], folder: Path, environment: Mapping[str, str], ready: Callable[[], bool]
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.folder = folder
        self.environment = dict(environment)
        self.log_file = folder / f"{name}.log"
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Raises ProcessError when it is not running."""
        if self._process is None or not self.running:
            raise ProcessError(f"{self.name} is not running{self.log_tail()}")
        return self._process.pid

    def begin(self) -> None:
        """Start without waiting for readiness."""
        if not self.running:
            self._process = spawn(self.argv, self.log_file, self.folder, self.environment)

    def start(self) -> None:
        """Start and wait until it is ready. Raises ProcessError."""
        self.begin()
        self.wait_ready()

    def wait_ready(self, within_s: float = READY_WITHIN_S) -> None:
        """Wait until it is ready. Raises ProcessError when it ends or takes too long."""
        deadline = time.monotonic() + within_s
        while not self._ready():
            if not self.running:
                status = self._process.returncode if self._process else "none"
                raise ProcessError(f"{self.name} ended with status {status}{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name} was not ready within {within_s:.0f} s{self.log_tail()}")
            time.sleep(ASK_EVERY_S)

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def stop(self) -> bool:
        """SIGTERM, and SIGKILL after STOP_WITHIN_S; whether it stopped by itself."""
        if self._process is None:
            return True
        self.ask_to_stop()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """kill -9, and wait until the kernel has taken it away."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_WITHIN_S)

    def cpu_s(self) -> float:
        """Processor time used by it so far, seconds. Raises ProcessError when it is not running."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log_tail(self) -> str:
        """The last lines of its log, to be put behind an error message."""
        try:
            lines = self.log_file.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        except OSError:
            return ""
        return ":\n  " + "\n  ".join(lines) if lines else ""
