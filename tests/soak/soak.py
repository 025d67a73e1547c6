"""`make soak WHAT=chain|engine SECONDS=n [SEED=n] [CASES=n] [REPORT=file]`: a seeded campaign for as long as asked.

The chain campaign kills device, broker, gateway and backend at random while people press. The engine campaign plays
random histories on the pure engine and on the real store, every invariant looked at after every event. Exit status 0
only if nothing was lost, doubled, lied about or violated. Ctrl-C ends it early, with its verdict.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "chain"), str(Path(__file__).parent)]

import engine_campaign  # noqa: E402
from chain_campaign import Campaign  # noqa: E402

BOARDS = 8
SHOWN_MAX = 10  # sentences of each kind that are printed


def chain(seconds: float, seed: int, folder: Path, cases: int | None = None) -> dict[str, Any]:
    """The report of one chain campaign; the cases found are printed as they are judged."""
    campaign = Campaign(folder, seed, boards=BOARDS)
    try:
        campaign.start()
        began = time.monotonic()
        try:
            campaign.run(
                lambda _: _is_over(began, seconds, campaign.presses, cases), lambda line: print(line, flush=True)
            )
        except KeyboardInterrupt:
            print("stopped: judging what there is", flush=True)
        lasted_s = time.monotonic() - began
        verdict = campaign.verdict()
        print(campaign.summary(), flush=True)
    finally:
        campaign.close()
    found = {name: getattr(verdict, name) for name in ("lost", "duplicates", "lies", "violations")}
    for name, sentences in found.items():
        for sentence in sentences[:SHOWN_MAX]:
            print(f"{name}: {sentence}", flush=True)
    return {
        "what": "chain",
        "seed": seed,
        "seconds": round(lasted_s, 1),
        "cases": campaign.presses,
        "faults": campaign.kills.total(),
        "faults_by_kind": dict(sorted(campaign.kills.items())),
        "accepted": campaign.accepted,
        "answered": campaign.answers,
        **{name: len(sentences) for name, sentences in found.items()},
    }


def _is_over(began: float, seconds: float, done: int, cases: int | None) -> bool:
    return time.monotonic() - began > seconds or (cases is not None and done >= cases)


def engine(seconds: float, seed: int, folder: Path, cases: int | None = None) -> dict[str, Any]:
    """The report of one engine campaign; progress is printed."""
    report, sentences = engine_campaign.run(seconds, seed, cases, lambda line: print(line, flush=True))
    for sentence in sentences[:SHOWN_MAX]:
        print(f"violations: {sentence}", flush=True)
    return report


CAMPAIGNS = {"chain": chain, "engine": engine}


def main(argv: list[str] | None = None) -> int:
    """Run one campaign; 0 only if it found nothing."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("what", choices=sorted(CAMPAIGNS))
    parser.add_argument("--seconds", type=float, help="60, or as long as --cases take")
    parser.add_argument("--cases", type=int, help="stop after so many, however much time is left")
    parser.add_argument("--seed", type=int, help="drawn, and printed, when left out")
    parser.add_argument("--report", type=Path, help="write the figures there as JSON")
    args = parser.parse_args(argv)
    seed = random.SystemRandom().randrange(1_000_000) if args.seed is None else args.seed
    seconds = args.seconds if args.seconds is not None else 60.0 if args.cases is None else float("inf")
    print(f"soak {args.what}: seed {seed}, {args.cases or 'any number of'} cases, {seconds:.0f} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="tocsin-soak-") as folder:
        report = CAMPAIGNS[args.what](seconds, seed, Path(folder), args.cases)
    print(json.dumps(report), flush=True)
    if args.report is not None:
        args.report.parent.mkdir(parents=True, exist_ok=True)
        args.report.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if not any(report[name] for name in ("lost", "duplicates", "lies", "violations")) else 1


if __name__ == "__main__":
    sys.exit(main())
