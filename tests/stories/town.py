"""The people of the stories, and what they do."""

from backend_rig import ORG, Post, Rig

ANNE, BOB, CARL, POLICE = "https://anne/", "https://bob/", "carl@x.fr", "https://police/"
FOREVER_MS = 10**9  # a post that need not beat: stories of hours


def answer(town: Rig, alert: str, login: str) -> str:
    return town.engine.answer(ORG, alert, town.persons[login], "console")


def close(town: Rig, alert: str, login: str, reason: str = "real") -> str:
    return town.engine.close(ORG, alert, town.persons[login], reason)


def alive(town: Rig, post: Post, for_ms: int) -> None:
    """Time passes at a post that beats."""
    while for_ms > 0:
        part = min(for_ms, 20_000)
        town.run(part)
        post.beat()
        town.run()
        for_ms -= part


def texts(rig: Rig, channel: str) -> list[str]:
    """The subjects that left by a channel since the last `told`."""
    return [each.message.subject for each in rig.channels[channel].sent]
