"""One contact: what is a press, what is not, what is a fault."""

from tocsin_device.button import HELD_AT_BOOT, NOTHING, PRESS, RELEASED, STUCK, TRANSITIONS, Button


def feed(button, levels, now_ms=0, edges=()):
    """Samples 5 ms apart; returns [(instant, told)]. `edges` are the indexes at which an edge was latched."""
    told = []
    for at in range(len(levels)):
        now_ms += 5
        what = button.step(bool(levels[at]), now_ms - 2 if at in edges else None, now_ms)
        if what != NOTHING:
            told.append((now_ms, what))
    return told


def idle(**options):
    button = Button("call", **options)
    feed(button, [0])
    return button


def test_eight_samples_make_a_press_dated_from_its_edge():
    button = idle()
    assert feed(button, [1] * 30, 5, edges=(0,)) == [(45, PRESS)]
    assert button.contact_ms == 8
    assert button.held_ms == 37


def test_a_press_is_told_once_however_long_it_lasts_until_it_sticks():
    button = idle()
    told = feed(button, [1] * 6100, 5)
    assert [what for _, what in told] == [PRESS, STUCK]
    assert 30000 < told[1][0] <= 30100
    assert button.line() == "fault"
    assert [what for _, what in feed(button, [0] * 30, 40000)] == [RELEASED]
    assert button.line() == "idle"
    assert [what for _, what in feed(button, [1] * 30, 41000)] == [PRESS]


def test_a_spike_is_rejected_and_counted():
    button = idle()
    for at in range(12):
        assert feed(button, [1, 0, 0, 0, 0], 5 + 25 * at, edges=(0,)) == []
    assert button.rejected == 12


def test_an_edge_that_no_sample_saw_is_no_press_while_the_loop_was_there():
    button = idle()
    assert feed(button, [0, 0, 0, 0], 5, edges=(1,)) == []
    assert button.rejected == 1


def test_an_edge_latched_while_the_loop_was_away_is_a_press():
    button = idle()
    assert button.step(False, 20, 5 + 41) == PRESS
    assert button.contact_ms == 20
    assert feed(button, [0] * 40, 50) == []


def test_a_slow_loop_loses_no_press_and_makes_none_of_a_spike():
    for lag_ms in (6, 10, 15, 20, 25):
        for hold_ms in (70, 120, 300):
            for phase in range(lag_ms):
                button = Button("call")
                count = 0
                edge_ms = 1000
                for ms in range(900 + phase, 1800, lag_ms):
                    seen = edge_ms if edge_ms is not None and ms >= edge_ms else None
                    if button.step(1000 <= ms < 1000 + hold_ms, seen, ms) == PRESS:
                        count += 1
                    edge_ms = None if seen is not None else edge_ms
                assert count == 1, (lag_ms, hold_ms, phase)
                button = Button("call")
                for ms in range(900 + phase, 1800, lag_ms):
                    assert button.step(1000 <= ms < 1003, 1000 if 0 <= ms - 1000 < lag_ms else None, ms) == NOTHING


def test_a_loop_that_was_away_without_an_edge_invents_nothing():
    button = idle()
    assert button.step(False, None, 5000) == NOTHING


def test_a_loop_away_while_the_contact_is_held_makes_no_second_press():
    button = idle()
    assert feed(button, [1] * 10, 5) == [(45, PRESS)]
    assert button.step(True, 60, 500) == NOTHING


def test_a_worn_contact_that_opens_while_it_is_held_is_one_press():
    button = idle()
    levels = [1] * 10 + [0] * 8 + [1] * 4 + [0] * 12 + [1] * 10 + [0] * 60
    assert [what for _, what in feed(button, levels, 5)] == [PRESS]


def test_held_at_boot_is_a_fault_and_a_press_only_after_release_and_press():
    for held_ms in (0, 5000, 60000):
        button = Button("call")
        told = [what for _, what in feed(button, [1] * (held_ms // 5))]
        assert told == ([HELD_AT_BOOT] if held_ms else [])
        told = [what for _, what in feed(button, [0] * 40, held_ms)]
        assert told == ([RELEASED] if held_ms else [])
        assert [what for _, what in feed(button, [1] * 10, held_ms + 1000)] == [PRESS]


def test_a_bounce_at_boot_is_nothing():
    button = Button("call")
    assert feed(button, [1, 1, 0, 0, 0, 0]) == []
    assert button.state == "open"


def test_three_presses_within_their_time():
    button = idle(presses=3, within_ms=1500)
    once = [1] * 20 + [0] * 30
    assert [what for _, what in feed(button, once * 3, 5)] == [PRESS]
    assert feed(button, once, 10000) == []
    assert feed(button, once, 15000) == []  # too late: this one is a first
    assert [what for _, what in feed(button, once * 2, 15300)] == [PRESS]


def test_a_long_press():
    button = idle(long_ms=2000)
    assert feed(button, [1] * 200 + [0] * 40, 5) == []
    told = feed(button, [1] * 500, 10000)
    assert [what for _, what in told] == [PRESS]
    assert 2000 <= button.held_ms < 2010


def test_every_row_of_the_table_leads_somewhere_known():
    states = [key.split(" ")[0] for key in TRANSITIONS]
    for row in TRANSITIONS.values():
        assert row.split(" ")[0] in states
