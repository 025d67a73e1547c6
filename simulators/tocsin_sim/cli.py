"""`tocsin-sim`: virtual boards and what they need."""

import argparse
import sys
from pathlib import Path

from tocsin_sim import toolchain


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status is 0 when it went well."""
    parser = argparse.ArgumentParser(prog="tocsin-sim", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("toolchain", help="find or fetch MicroPython, mpy-cross, umqtt.simple; say where they are")
    demo = commands.add_parser("demo", help="the whole system with a dozen posts, as `make run` does")
    demo.add_argument("--seconds", type=float, help="press by itself for so long, report, and stop")
    demo.add_argument("--report", type=Path, help="write the unattended run's figures there as JSON")
    demo.add_argument("--seed", type=int, help="of the unattended run; drawn, and printed, when left out")
    args = parser.parse_args(argv)
    if args.command == "demo":
        from tocsin_sim.demo import run  # the backend's imports take a second

        return run(args.seconds, args.report, args.seed)
    try:
        for name, value in toolchain.found().items():
            print(f"{name:<13} {value}")
    except toolchain.ToolchainError as error:
        print(f"tocsin-sim: {error}", file=sys.stderr)
        return 1
    return 0
