"""`tocsin watchdog`: a small process on another machine that tells when the server is silent."""

import argparse
import json
import signal
import threading
from pathlib import Path

from tocsin_backend.commands import OK, REFUSED, Adder
from tocsin_backend.domain import watching
from tocsin_backend.domain.watching import Look, Word
from tocsin_backend.enrolment import LANGUAGES
from tocsin_backend.errors import Misconfigured
from tocsin_backend.settings import Settings


def watchdog(args: argparse.Namespace, settings: Settings) -> int:
    from tocsin_backend import watchdog as dog  # the push services take a while to import
    from tocsin_backend.clock import SystemClock

    clock = SystemClock()
    address = dog.healthz_of(args.url)
    if args.notify is None:
        if not args.once:
            raise Misconfigured("--notify FILE says whom to tell; --once only looks")
        return _look(args, dog.look(address))
    teller = dog.Teller(dog.read_lines(args.notify), settings, clock, args.language)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        if args.once:
            return _look(args, dog.look(address))
        if args.test:
            return OK if teller.tell(Word(watching.BACK, "", 0)) else REFUSED
        said = [""]

        def say(found: Look, word: Word | None) -> None:
            if found.why != said[0] or word is not None:
                said[0] = found.why
                _say(args.json, found, word)

        dog.run(lambda: dog.look(address), teller, clock, stop, say)
    finally:
        teller.close()
    return OK


def _look(args: argparse.Namespace, found: Look) -> int:
    _say(args.json, found, None)
    return REFUSED if found.why else OK


def _say(as_json: bool, found: Look, word: Word | None) -> None:
    if as_json:
        print(json.dumps({"well": not found.why, "why": found.why, "told": word.what if word else None}), flush=True)
    else:
        print((found.why or "well") + (f"; told: {word.what}" if word else ""), flush=True)


def register(add: Adder) -> None:
    leaf = add.leaf("watchdog", watchdog, "Watch a server from another machine, and tell people when it is silent.")
    leaf.add_argument("--url", required=True, help="the server: https://tocsin.example")
    leaf.add_argument("--notify", type=Path, metavar="FILE", help="whom to tell, an address a line; mode 0600")
    leaf.add_argument("--language", default="fr", choices=LANGUAGES)
    leaf.add_argument("--once", action="store_true", help="look once, tell nobody: status 0 if all is well, 1 if not")
    leaf.add_argument("--test", action="store_true", help="tell everybody now that it answers, to try the addresses")
