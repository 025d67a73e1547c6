"""`tocsin-sim`: virtual boards and what they need."""

import argparse
import contextlib
import json
import os
import select
import sys
import tempfile
import termios
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

from tocsin_sim import contacts, toolchain
from tocsin_sim.board import Board, BoardError

KEYS = {
    "p": "press the button for 300 ms",
    "h": "hold the button, or release it",
    "s": "a 200 µs disturbance on the wires",
    "w": "Wi-Fi off, or on again",
    "c": "cut the power for one second",
    "r": "reset",
    "k": "kill, as the watchdog does",
    "q": "quit",
}


def build_parser() -> argparse.ArgumentParser:
    """Every command and option; tests compare the documents with it."""
    parser = argparse.ArgumentParser(prog="tocsin-sim", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("toolchain", help="find or fetch MicroPython, mpy-cross, umqtt.simple; say where they are")
    demo = commands.add_parser("demo", help="the whole system with a dozen posts, as `make run` does")
    demo.add_argument("--seconds", type=float, help="press by itself for so long, report, and stop")
    demo.add_argument("--report", type=Path, help="write the unattended run's figures there as JSON")
    demo.add_argument("--seed", type=int, help="of the unattended run; drawn, and printed, when left out")
    demo.add_argument("--folder", type=Path, help="where the state is kept from one start to the next (build/run)")
    keys = "; ".join(f"{key}: {what}" for key, what in KEYS.items())
    board = commands.add_parser(
        "board", help="run the firmware on one virtual board", epilog=f"Keys while it runs: {keys}"
    )
    board.add_argument("credentials", type=Path, help="what `tocsin device add --json` printed")
    board.add_argument(
        "--folder", type=Path, help="keep the board there; an existing one is used as it is (default: none)"
    )
    board.add_argument(
        "--bounce", choices=sorted(contacts.BOUNCES), default="new", help="the button's age (default: new)"
    )
    board.add_argument(
        "--page", type=int, metavar="PORT", help="also serve the virtual post's page; 0 takes any free port"
    )
    board.add_argument("--source", action="store_true", help="put .py files on the board instead of compiled ones")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status is 0 when it went well."""
    asked = build_parser().parse_args(argv)
    if asked.command == "demo":
        from tocsin_sim.demo import run  # the backend's imports take a second

        return run(asked.seconds, asked.report, asked.seed, asked.folder)
    try:
        if asked.command == "toolchain":
            for name, value in toolchain.found().items():
                print(f"{name:<13} {value}")
        else:
            run_board(asked.credentials, asked.folder, asked.bounce, asked.page, compiled=not asked.source)
    except (toolchain.ToolchainError, BoardError, OSError, ValueError, KeyError) as error:
        said = f"{error} is missing from the credentials" if isinstance(error, KeyError) else str(error)
        print(f"tocsin-sim: {said}", file=sys.stderr)
        return 1
    return 0


def run_board(credentials: Path, folder: Path | None, bounce: str, page: int | None, *, compiled: bool) -> None:
    """Run one board until q, Ctrl-C, or the end of the input; print what its lamp says and when."""
    told = json.loads(credentials.read_text())
    with contextlib.ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-board-"))) / "board"
        kept = (place / "board.json").exists()
        board = Board(place) if kept else Board.create(place, told, compiled=compiled)
        stack.enter_context(board)
        board.power_on()
        print(f"{told['device']}: the firmware runs. " + ", ".join(f"{key} {what}" for key, what in KEYS.items()))
        if page is not None:
            from tocsin_sim.virtual_post import VirtualPosts  # the page's libraries only for who wants it

            posts = VirtualPosts({told["device"]: board})
            print(f"its page: {stack.enter_context(posts.serve(port=page))}")
        keys = stack.enter_context(_keys())
        shown = 0
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                key = keys()
                if key == "q":
                    break
                if key in KEYS:
                    _act(board, key, bounce)
                shown = _show(board, shown)


def _act(board: Board, key: str, bounce: str) -> None:
    if key == "p":
        board.press(300, bounce)
    elif key == "h" and board.closed:
        board.release(bounce)
    elif key == "h":
        board.hold(bounce)
    elif key == "s":
        board.spike()
    elif key == "w":
        board.wifi(not board.has_wifi)
    elif key == "c":
        board.power_cut(1)
    elif key == "r":
        board.reset()
    elif key == "k":
        board.kill()


def _show(board: Board, shown_ns: int) -> int:
    """Print the states that began since `shown_ns`; return the newest."""
    _ = board.state
    last = board.history()[-1:]
    for at_ns, state in list(board.indicator.since(shown_ns + 1)):
        clock = time.strftime("%H:%M:%S", time.localtime(at_ns // 1_000_000_000))
        after = ""
        if last and state in ("sending", "sent", "answered", "not delivered"):
            after = f"  {(at_ns - last[0].contact_ns) / 1e6:.0f} ms after the contact"
        print(f"{clock}.{at_ns // 1_000_000 % 1000:03} {state}{after}", flush=True)
        shown_ns = at_ns
    return shown_ns


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """A function that returns the next key, or "" after 100 ms without one; "q" at the end of a piped input."""
    stdin = sys.stdin
    with contextlib.ExitStack() as stack:
        if stdin.isatty():
            before = termios.tcgetattr(stdin)
            stack.callback(termios.tcsetattr, stdin, termios.TCSADRAIN, before)
            tty.setcbreak(stdin)

        def key() -> str:
            ready, _, _ = select.select([stdin], [], [], 0.1)
            if not ready:
                return ""
            return os.read(stdin.fileno(), 1).decode(errors="replace") or "q"

        yield key
