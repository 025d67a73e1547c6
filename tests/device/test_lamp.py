"""The indicator table, as data."""

from tocsin_device.lamp import INDICATORS, SOUNDS, lit, sound_of


def flashes(indicator, ms=10000):
    """[(colour, how long)] over that time."""
    found = []
    for at in range(0, ms, 5):
        colour = lit(indicator, at)
        if found and found[-1][0] == colour:
            found[-1] = (colour, found[-1][1] + 5)
        else:
            found.append((colour, 5))
    return found


def test_what_is_seen():
    assert flashes("idle") == [("off", 10000)]
    assert flashes("sent") == [("yellow", 10000)]
    assert flashes("answered") == [("green", 10000)]
    assert flashes("in-service") == [("green", 50), ("off", 4950)] * 2
    assert flashes("sending", 1000) == [("yellow", 125), ("off", 125)] * 4, "4 Hz"
    assert flashes("no-network", 4000) == [("red", 150), ("off", 150), ("red", 150), ("off", 1550)] * 2
    assert [part for part in flashes("fault", 4000) if part[0] == "red"] == [("red", 600)] * 3
    assert [part for part in flashes("undelivered", 1500) if part[0] == "red"] == [("red", 125)] * 3


def test_light_and_sound_always_go_together_for_a_press():
    for indicator in ("sending", "sent", "answered", "undelivered"):
        assert sound_of(indicator) in SOUNDS
    for indicator in ("idle", "in-service", "no-network", "fault"):
        assert sound_of(indicator) == ""


def test_sounds_rise_repeat_and_are_short():
    def tones(name):
        notes = SOUNDS[name]
        assert len(notes) % 2 == 0
        assert sum([notes[at] for at in range(1, len(notes), 2)]) <= 1500
        return [notes[at] for at in range(0, len(notes), 2) if notes[at]]

    assert sorted(SOUNDS) == ["chirp", "low-triple", "rising", "three"]
    assert len(tones("chirp")) == 1
    low, high = tones("rising")
    assert low < high
    assert tones("low-triple") == [600, 600, 600]
    assert len(tones("three")) == 3


def test_no_two_indicators_look_alike():
    seen = [tuple(flashes(indicator)) for indicator in INDICATORS]
    assert len(seen) == len(set(seen))
