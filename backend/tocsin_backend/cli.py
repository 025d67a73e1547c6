"""`tocsin`: the backend's commands. They act on the database that the settings name, also while the server runs.

Exit status: 0 done, 1 refused or something bad was found, 2 not a command, 3 the settings or the database stand in the
way, 130 interrupted. An error is one line on stderr. With --json, what a command says on stdout is one JSON document.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from tocsin_backend.commands import (
    INTERRUPTED,
    OK,
    REFUSED,
    STOPPED,
    Adder,
    alarms,
    alerts,
    centres,
    contacts,
    desks,
    devices,
    gateways,
    installation,
    lateness,
    organisations,
    people,
    policies,
    probes,
    ready,
    rosters,
    simulate,
    sites,
    traffic,
    watchdog,
    windows,
)
from tocsin_backend.errors import Misconfigured, TocsinError, Unavailable
from tocsin_backend.settings import read_settings

# In the order of `tocsin --help`.
NOUNS = (
    installation,
    organisations,
    sites,
    devices,
    gateways,
    people,
    contacts,
    policies,
    simulate,
    rosters,
    desks,
    ready,
    windows,
    probes,
    alarms,
    centres,
    alerts,
    lateness,
    traffic,
    watchdog,
)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; each leaf's `run` is the function that does it."""
    parser = argparse.ArgumentParser(
        prog="tocsin", description="Tocsin's backend: enrolment, policies, the server, and a look at what happens."
    )
    add = Adder(parser, "command", "COMMAND")
    for noun in NOUNS:
        noun.register(add)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit status."""
    args = build_parser().parse_args(argv)
    before = os.umask(0o077)  # the database, its journal and the broker's files are their owner's alone
    try:
        status: int = args.run(args, read_settings(os.environ))
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, grep -m1) has had enough; Python would complain once more while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except TocsinError as error:
        print(f"tocsin: {error}", file=sys.stderr)
        return STOPPED if isinstance(error, Misconfigured | Unavailable) else REFUSED
    finally:
        os.umask(before)


if __name__ == "__main__":
    sys.exit(main())
