"""Installs the Debian packages that some tests need, when it may; otherwise says in one line what will be skipped.

Called by `make test`. As root on a machine with apt-get it installs what is missing; without root it changes nothing.
"""

import os
import shutil
import subprocess
import sys

# program -> (Debian package, what needs it)
PROGRAMS = {
    "chromium": ("chromium", "the console's and the virtual post's tests in a real browser"),
    "mosquitto": ("mosquitto", "the gateway's and brokers' tests on Mosquitto"),
    "mosquitto_pub": ("mosquitto-clients", "the device written with mosquitto_pub"),
}


def main() -> int:
    """Exit status 0 unless an installation that was possible failed."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = {package: why for name, (package, why) in PROGRAMS.items() if shutil.which(name, path=path) is None}
    if not missing:
        return 0
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"Skipped, since {', '.join(missing)} is not installed: {'; '.join(missing.values())}. "
              f"To run them: sudo {' '.join(install)}")  # fmt: skip
        return 0
    print(f"Installing {', '.join(missing)} for the tests…", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "--quiet"], install):
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            print(done.stdout, file=sys.stderr)
            print(f"`{' '.join(command)}` failed; its words are above", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
