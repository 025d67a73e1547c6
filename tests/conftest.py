"""What every test shares: nothing is skipped in CI, and a leftover thread or process fails the test that left it."""

import os
import signal

import pytest

# A run in a shell's background inherits an ignored Ctrl-C, and so would every program under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter is not None and not hasattr(session.config, "workerinput"):
        skipped = reporter.stats.get("skipped", [])
        if skipped and session.exitstatus == 0:
            reporter.write_line(f"{len(skipped)} skipped: in CI nothing may be")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
