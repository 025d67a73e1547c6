"""Runs first. The heap is swept early and often in small steps, so that no sweep comes late and long."""

import gc

gc.threshold(4096)
