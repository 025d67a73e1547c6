"""The shared contract: topics, messages, frames. One source for CPython and MicroPython; it imports nothing of ours.

firmware/WIRE.md says the same in words; a test keeps the two in step.
"""
