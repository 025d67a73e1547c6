"""What a post does: the shell around tocsin_device on MicroPython's ESP32 port."""
