"""What is done once, before anything else: read what the board is told, count the boot, look into the journal.

main.py drops this module and the others of ONLY_AT_START before it loads the rest: on a chip with little memory, code
that will not run again is room for presses.
"""

import sys

from . import about, boots, clock, recovery
from .journal import Journal
from .log import say
from .settings import Settings

ONLY_AT_START = ("start", "about", "boots", "recovery", "settings")


def gather() -> "dict[str, object]":
    """What the post is put together from. Raises ValueError if there is no profile: then there is no pin to watch."""
    settings = Settings()
    if settings.problem:
        say("fault " + settings.problem)
    boot, counted = boots.next_boot(settings.boot_floor)
    why, word = boots.why_this_boot()
    journal = Journal(boot, settings.profile["inputs"][0]["name"])
    held, waiting = recovery.load(journal, boot)
    say("boot %d %s held %d" % (boot, why, len(held) + waiting))
    return {
        "profile": settings.profile,
        "credentials": settings.credentials,
        "broker": settings.broker,
        "login": settings.login,
        "net": (settings.ssid, settings.psk),
        "info": about.info(settings.kind, settings.profile["profile"]),
        "boot": boot,
        "counted": counted,
        "why": why,
        "word": word,
        "epoch_s": clock.read_rtc_s(),
        "journal": journal,
        "held": held,
        "waiting": waiting,
    }


def forget() -> None:
    """Let go of the modules that will not run again."""
    package = sys.modules[__name__.split(".")[0]]
    for name in ONLY_AT_START:
        del sys.modules[package.__name__ + "." + name]
        delattr(package, name)
