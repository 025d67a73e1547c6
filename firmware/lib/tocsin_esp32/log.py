"""What a post says on its serial console: one line a fact, with the uptime in milliseconds."""

from . import clock


def say(text: str) -> None:
    """Print one line. Never a key, a password or a frame."""
    print("tocsin %d %s" % (clock.now_ms(), text))
