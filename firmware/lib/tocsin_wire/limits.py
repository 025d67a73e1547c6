"""Sizes that both ends keep to. A device has about 100 kB of heap: every bound here is a bound on its memory."""

MAX_SENT = 512  # bytes of one frame, signature included: what anybody may send
MAX_RECEIVED = (
    1024  # bytes of one frame: above, it is refused before it is read (twice MAX_SENT: room for newer minors)
)
MAX_NAME = 32  # characters of an organisation, site, device, gateway or input name
MAX_TEXT = 200  # characters of a free text field
MAX_DEPTH = 3  # containers inside containers in one message
MAX_INT = 2**53 - 1  # the largest integer every JSON reader keeps exact
