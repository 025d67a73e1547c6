"""The chain's tests share their campaign with `make soak`: what stands in this folder is imported by name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
