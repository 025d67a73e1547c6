"""A new user in an empty folder, who has the `tocsin` command and nothing else."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from tocsin_backend.cli import main

PROGRAM = "import sys; from tocsin_backend.cli import main; sys.exit(main())"


class NewUser:
    """Runs `tocsin` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONWARNINGS": "error",
        }
        self.seen = ""  # everything that was said, to be searched for secrets

    def run(self, *words: str, stdin: str = "", status: int = 0, **settings: str) -> subprocess.CompletedProcess:
        """The command in this process, with the environment, folder and streams of one of its own."""
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, self.environment | settings, clear=True),
            mock.patch.object(sys, "stdin", io.StringIO(stdin)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                returned = main(words)
            except SystemExit as wrong:  # how argparse ends
                returned = int(wrong.code or 0)
        return self._judged(subprocess.CompletedProcess(words, returned, out.getvalue(), err.getvalue()), status)

    def process(self, *words: str, stdin: str = "", status: int = 0, **settings: str) -> subprocess.CompletedProcess:
        """The same as a process: a second or more, for what is about processes."""
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            cwd=self.folder, env=self.environment | settings, input=stdin, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return self._judged(done, status)

    def _judged(self, done: subprocess.CompletedProcess, status: int) -> subprocess.CompletedProcess:
        assert done.returncode == status, f"{done.args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        if status not in (0, 2):
            assert done.stdout or done.stderr
        self.seen += done.stdout + done.stderr
        return done

    def json(self, *words: str, **more):
        return json.loads(self.run(*words, "--json", **more).stdout)

    def refusal(self, *words: str, status: int = 1, **more) -> str:
        """The one line of a refused command."""
        error = self.run(*words, status=status, **more).stderr
        assert error.startswith("tocsin: ")
        assert error.count("\n") == 1, error
        return error.removeprefix("tocsin: ").rstrip("\n")


@pytest.fixture
def new_user(tmp_path):
    return NewUser(tmp_path)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    """A data folder with an organisation and a site, made once."""
    folder = tmp_path_factory.mktemp("furnished")
    user = NewUser(folder)
    user.run("init")
    user.run("org", "add", "--id", "demo", "--name", "Région Démo")
    user.run("site", "add", "--org", "demo", "--id", "emperi", "--name", "Lycée de l'Emperi")
    return folder


@pytest.fixture
def user(new_user, furnished):
    """A user who has made a data folder, an organisation and a site."""
    shutil.copytree(furnished / "tocsin-data", new_user.folder / "tocsin-data")
    return new_user
