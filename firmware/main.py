"""Runs after boot.py: the post, for ever. Whatever ends it is left in RTC memory, told after the reset, and resets."""

import gc
import sys

import machine
from tocsin_esp32 import mqtt, start, storage  # mqtt first: it has the large buffers

del mqtt
try:
    facts = start.gather()
    start.forget()
    del start
    gc.collect()
    from tocsin_esp32.app import App

    post = App(facts)
    del facts
    gc.collect()
    post.run()
except Exception as error:  # MemoryError included: a heap that is full or in pieces is cured by a reset
    sys.print_exception(error)
    storage.leave_word("%s: %s" % (type(error).__name__, error))
    machine.reset()
