"""`tocsin-gateway`: runs the gateway. `--check` tries everything it needs and says what is wrong; `--settings` lists
the settings.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence

from tocsin_gateway import settings as settings_table
from tocsin_gateway.app import App
from tocsin_gateway.check import check
from tocsin_gateway.settings import SettingsError, read_credentials, read_settings
from tocsin_gateway.spool import SpoolError

OK, FAILED, MISUSED = 0, 1, 2
SWITCH_SECONDS = 0.0001  # a thread that composes beats gives the interpreter up to a press after this, not after 5 ms


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 ended on request or all is well, 1 something failed, 2 settings are refused."""
    parser = argparse.ArgumentParser(prog="tocsin-gateway", description=__doc__)
    parser.add_argument("--check", action="store_true", help="try credentials, spool, broker and backend, then leave")
    parser.add_argument("--settings", action="store_true", help="list the settings and leave")
    asked = parser.parse_args(arguments)
    if asked.settings:
        for name, default, help_text in settings_table.table():
            print(f"{name}={default}\n    {help_text}")
        return OK
    os.umask(0o077)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        settings = read_settings(os.environ)
        credentials = read_credentials(settings)
    except SettingsError as error:
        print(f"tocsin-gateway: {error}", file=sys.stderr)
        return MISUSED
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    if asked.check:
        findings = check(settings, credentials)
        for finding in findings:
            print(f"{'ok  ' if finding.well else 'FAIL'} {finding.what}: {finding.text}")
        return OK if all(finding.well for finding in findings) else FAILED
    try:
        app = App(settings, credentials)
    except (OSError, SpoolError) as error:
        print(f"tocsin-gateway: cannot start: {error}", file=sys.stderr)
        return FAILED
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: app.request_stop())
    app.start()
    well = app.wait()
    app.stop()
    return OK if well else FAILED


if __name__ == "__main__":
    sys.exit(main())
