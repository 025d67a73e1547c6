"""`tocsin-sim`: virtual boards and what they need."""

import argparse
import sys

from tocsin_sim import toolchain


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status is 0 when it went well."""
    parser = argparse.ArgumentParser(prog="tocsin-sim", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("toolchain", help="find or fetch MicroPython, mpy-cross, umqtt.simple; say where they are")
    parser.parse_args(argv)
    try:
        for name, value in toolchain.found().items():
            print(f"{name:<13} {value}")
    except toolchain.ToolchainError as error:
        print(f"tocsin-sim: {error}", file=sys.stderr)
        return 1
    return 0
