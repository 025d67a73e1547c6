"""What a board is told at boot: `/cred.json`, `/net.json`, and the profile in `/profiles`."""

import os

from tocsin_wire import signing, topics

from . import storage


class Settings:
    """`credentials` (org, device, kid, key) and `broker` are None when `/cred.json` is missing or makes no sense; then
    `problem` says what is wrong. `boot_floor` is the least the boot counter may be. `login` is the client id, user and
    password at the broker.

    Without a profile there are no pins to watch: that is the one thing that stops a boot (ValueError).
    """

    def __init__(self) -> None:
        self.problem = ""
        found = storage.read_json("/cred.json")
        self.credentials = None
        self.broker = None
        self.login = (b"", b"", b"")
        self.boot_floor = 0
        try:
            self._read_credentials(found)
        except (KeyError, TypeError, ValueError) as error:
            self.problem = "/cred.json is missing" if found is None else "/cred.json: %r" % (error,)
        network = storage.read_json("/net.json") or {}
        self.ssid = network.get("ssid", "")
        self.psk = network.get("psk", "")
        name = str((found or {}).get("profile") or _only_profile())
        profile = storage.read_json("/profiles/" + name + ".json")
        if profile is None:
            raise ValueError("/profiles/%s.json is missing or is no JSON" % name)
        self.profile = profile
        self.kind = str((found or {}).get("kind") or name)

    def _read_credentials(self, found: "dict[str, object] | None") -> None:
        if found is None:
            raise ValueError("missing")
        floor = found.get("boot")
        if isinstance(floor, int) and 0 < floor < 1 << 30:  # whatever else it says, it must not stop a boot
            self.boot_floor = floor
        topics.topic(found["org"], found["device"], "ack")
        key = signing.key_from_text(found["key"])
        broker = found["broker"]
        user = broker["user"]
        # The client id cannot be guessed: where a broker does not tie it to the login, no other login pushes us off.
        self.login = (broker.get("client_id", user).encode(), user.encode(), broker["password"].encode())
        if not isinstance(broker["port"], int) or not broker["host"]:
            raise ValueError("broker")
        if broker.get("tls"):
            raise ValueError("this firmware has no TLS yet")
        self.credentials = (found["org"], found["device"], found["kid"], key)
        self.broker = broker


def _only_profile() -> str:
    try:
        names = [name for name in os.listdir("/profiles") if name.endswith(".json")]
    except OSError:
        names = []
    if len(names) != 1:
        raise ValueError("no credentials to name a profile, and not exactly one in /profiles")
    return names[0][:-5]
