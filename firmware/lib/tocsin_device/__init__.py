"""What a post decides: pure, one source for CPython and MicroPython. No clock, socket, file or randomness in here."""
