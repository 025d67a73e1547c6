"""Everything is killed at random while people press: P1 never lost, P2 once, P3 the lamp never lies, P5, P10.

Two campaigns that differ in their seed run side by side: at least 200 presses and 60 kills together.
"""

from pathlib import Path

import pytest
from chain_campaign import Campaign
from chain_oracle import Verdict

pytestmark = [pytest.mark.chain, pytest.mark.timeout(400)]
PRESSES, KILLS = 105, 32


@pytest.mark.parametrize("seed", [20260422, 31177])
def test_nothing_is_lost_doubled_or_lied_about(tmp_path: Path, seed: int):
    campaign = Campaign(tmp_path, seed, boards=8)
    try:
        campaign.start()
        campaign.run(lambda run: run.accepted >= PRESSES and run.kills.total() >= KILLS and len(run.kills) == 4)
        print(f"seed {seed}: {campaign.summary()}")
        assert campaign.verdict() == Verdict(), f"seed {seed}"
    finally:
        campaign.close()
