"""What a template shows, without a browser."""

import json
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from samples import NOW_MS, alert, entry, ledger, notice
from tocsin_backend.console import phrases, views
from tocsin_backend.console.assets import Assets
from tocsin_backend.console.language import read_languages
from tocsin_backend.console.pages import Pages
from tocsin_backend.console.routes import inside
from tocsin_backend.console.stream import Board, Read, counts
from tocsin_backend.domain import alerts as domain
from tocsin_backend.domain import liveness, notices, rights
from tocsin_wire import messages

FR, EN = read_languages()["fr"], read_languages()["en"]
PARIS = ZoneInfo("Europe/Paris")


# -- the list


def test_c24_there_are_exactly_three_priorities():
    categories = ("call", "personal", "threat", "technical")
    found = {(c, m): views.priority(c, m) for c in categories for m in ("real", "drill", "probe")}
    assert set(found.values()) == {1, 2, 3}
    assert {pair for pair, rank in found.items() if rank == 1} == {(c, "real") for c in ("call", "personal", "threat")}
    assert found["technical", "real"] == 2
    assert set(phrases.PRIORITIES) == {1, 2, 3}


def test_c25_untaken_by_priority_then_oldest_first():
    rows = [
        alert(id="drill", mode="drill", raised_ms=1),
        alert(id="technical", category="technical", subject="lost", raised_ms=2),
        alert(id="young", raised_ms=4),
        alert(id="old", raised_ms=3),
    ]
    assert [row.id for row in views.alert_rows(rows, FR, NOW_MS)] == ["old", "young", "technical", "drill"]


def test_c25_repeats_of_one_post_are_one_row_with_a_count():
    pages = Pages(read_languages(), Assets())
    assert "×4" in pages.row(FR, views.alert_row(alert(presses=4), FR, NOW_MS))
    assert "×" not in pages.row(FR, views.alert_row(alert(), FR, NOW_MS))


def test_a_row_says_when_where_and_what_in_both_languages():
    french, english = views.alert_row(alert(), FR, NOW_MS), views.alert_row(alert(), EN, NOW_MS)
    assert (french.site, french.post, french.what) == ("Gare d'Embrun", "Parvis", "Appel à l’aide")
    assert (english.what, english.raised_ago, french.raised_ago) == (
        "Call for help", "1 min 20 s ago", "il y a 1 min 20 s",
    )  # fmt: skip
    assert french.raised_clock == "16:12:00"
    assert french.raised_iso == "2026-09-21T14:12:00.000Z"
    assert (french.town, views.alert_row(alert(address="Hautes-Alpes"), FR, NOW_MS).town) == ("", "Hautes-Alpes")


def test_an_alert_of_another_day_shows_its_date():
    assert views.alert_row(alert(raised_ms=NOW_MS - 86_400_000), FR, NOW_MS).raised_clock == "20/09/2026 16:13:20"


def test_times_are_those_of_the_site():
    assert views.alert_row(alert(timezone="America/Guadeloupe"), FR, NOW_MS).raised_clock == "10:12:00"


@pytest.mark.parametrize(
    ("span_ms", "french", "english"),
    [
        (0, "0 s", "0 s"),
        (59_999, "59 s", "59 s"),
        (65_000, "1 min 05 s", "1 min 05 s"),
        (7_620_000, "2 h 07", "2 h 07"),
        (400_000_000, "4 j", "4 d"),
    ],
)
def test_spans(span_ms, french, english):
    assert (FR.span(span_ms), EN.span(span_ms)) == (french, english)


def test_naughty_names_are_inert():
    pages = Pages(read_languages(), Assets())
    row = alert(site_name='<img src=x onerror="alert(1)">', device_name="{{ 7*7 }}")
    html = pages.row(EN, views.alert_row(row, EN, NOW_MS))
    assert "<img" not in html
    assert "{{ 7*7 }}" in html


# -- the board of the live link


def read(newest, *rows, ids=None, presence=()):
    return Read(newest, list(rows), list(presence), None if ids is None else frozenset(ids))


def test_the_board_says_what_changed_and_only_that():
    board = Board()
    a, b = alert(id="a"), alert(id="b")
    change = board.take(read(1, a, b))["region-sud"]
    assert ([row.id for row in change.shown], change.gone) == (["a", "b"], [])
    assert board.take(read(1, a, b)) == {}
    taken = replace(a, status="answered", seq=13)
    assert [row.id for row in board.take(read(2, taken, ids=["a"]))["region-sud"].shown] == ["a"]
    assert board.take(read(3, replace(a, status="closed"), ids=["a"]))["region-sud"].gone == ["a"]
    assert [row.id for row in board.rows("region-sud")] == ["b"]


def test_a_read_of_some_alerts_says_nothing_of_the_others():
    board = Board()
    board.take(read(1, alert(id="a"), alert(id="b")))
    assert board.take(read(2, alert(id="c"), ids=["c"]))["region-sud"].gone == []
    assert board.take(read(3, ids=["b"]))["region-sud"].gone == ["b"]
    assert board.take(read(3))["region-sud"].gone == ["a", "c"]


def test_an_organisation_hears_of_its_own_alerts_only():
    board = Board()
    changes = board.take(read(1, alert(id="a"), alert(id="b", org="occitanie")))
    assert {org: [row.id for row in change.shown] for org, change in changes.items()} == {
        "region-sud": ["a"],
        "occitanie": ["b"],
    }


def test_presence_alone_is_a_change_too():
    board = Board()
    assert set(board.take(read(1, presence=[("region-sud", "alive", 12)]))) == {"region-sud"}
    assert board.take(read(1, presence=[("region-sud", "alive", 12)])) == {}
    assert board.counts("region-sud")["posts"] == 12


def test_c23_drills_have_their_own_counter():
    rows = [alert(), alert(mode="drill"), alert(mode="probe"), alert(status="answered")]
    found = counts(rows, {"alive": 2, "lost": 1, "never": 1})
    assert found == {"untaken": 1, "taken": 1, "drills": 2, "alive": 2, "lost": 1, "posts": 4}


# -- one alert


def test_the_ledger_is_a_bar_of_hops():
    view = views.ledger(ledger(answered_ms=NOW_MS - 30_000, lamp_answered_ms=NOW_MS - 29_800), FR)
    assert [(hop.letter, hop.took, hop.at) for hop in view.hops] == [
        ("A", "41 ms", "41 ms"),
        ("B", "3 ms", "44 ms"),
        ("C", "9 ms", "53 ms"),
        ("D", "6 ms", "59 ms"),
        ("", "18 ms", "71 ms"),
        ("", "49,9 s", "50,0 s"),
        ("", "200 ms", "50,2 s"),
    ]
    assert [segment.letter for segment in view.bar] == ["A", "B", "C", "D"]
    assert sum(segment.width for segment in view.bar) == pytest.approx(100, abs=0.01)
    assert view.bar[0].width == pytest.approx(100 * 41 / 59, abs=0.01)
    assert view.headline == "Première personne prévenue en 59 ms, voyant allumé en 71 ms"


def test_a_ledger_that_has_just_begun_is_drawn_too():
    view = views.ledger(ledger(handed_ms=None, lamp_sent_ms=None), EN)
    assert view.headline == "Alert raised after 53 ms"
    assert [hop.letter for hop in view.hops] == ["A", "B", "C"]


def test_a_ledger_of_instants_in_disorder_has_no_negative_hop():
    view = views.ledger(ledger(handed_ms=NOW_MS - 90_000), EN)
    assert all(segment.width >= 0 for segment in view.bar)
    assert not any(hop.took.startswith("-") for hop in view.hops)


# One entry of each kind with the data that domain/escalation.py writes.
ENTRIES = {
    "raised": {"category": "call", "mode": "real", "signal": "812-7", "subject": "", "silent": False, "epoch": 1},
    "pressed": {"presses": 2, "signal": "812-8", "subject": ""},
    "returned": {"presses": 2, "signal": "", "subject": "lost"},
    "cleared": {"subject": "lost"},
    "step": {"epoch": 1, "pass": 1, "step": 0, "told": [["console", "console"], ["person:1", "webhook"]]},
    "empty-step": {"epoch": 1, "pass": 1, "step": 0},
    "step-undeliverable": {"epoch": 1, "pass": 1, "step": 0},
    "unanswered": {"epoch": 1},
    "reopened": {"epoch": 2, "why": "press", "answered_by": 1},
    "escalated": {"person": 1},
    "answered": {"person": 1, "epoch": 1, "channel": "console"},
    "also-answered": {"person": 2, "epoch": 1, "taken_by": 1},
    "co-answered": {"person": 2, "epoch": 1, "channel": "sms"},
    "progress": {"person": 1, "epoch": 1, "progress": "en-route"},
    "also-progress": {"person": 2, "epoch": 1, "progress": "on-site"},
    "help-needed": {"person": 1, "epoch": 1},
    "close-asked": {"person": 1, "reason": "false", "note": "fausse alerte"},
    "close-void": {"asked_by": 1},
    "many-presses": {"presses": 10},
    "severity": {"severity": 1, "presses": 4},
    "all-clear": {"person": 1, "group": "cour", "outputs": ["cour/sirene-1/cour"]},
    "command-refused": {"target": "alarm:cour/sirene-1/flash/on", "why": "nonce", "c": 7},
    "muted": {"subject": "lost", "muted": 4},
    "stale-answer": {"person": 1, "epoch": 1, "current": 2},
    "late-answer": {"person": 1, "epoch": 1},
    "stale-close": {"person": 1, "epoch": 1, "current": 2, "reason": "false"},
    "closed": {"person": 1, "reason": "false", "note": "personne sur place"},
    "handed": {
        "dispatch": "d", "kind": "notify", "target": "person:1", "channel": "email", "attempts": 1,
        "maybe_dup": False, "error": None,
    },
    "failed": {
        "dispatch": "d", "kind": "notify", "target": "person:1", "channel": "email", "attempts": 4,
        "maybe_dup": False, "error": "connection refused",
    },
    "lamp": {"lamp": "answered", "epoch": 1},
}  # fmt: skip
PEOPLE = {1: "Camille Roux", 2: "Alex Martin"}


def lines(language, what, **data):
    (line,) = views.timeline([entry(what, **data)], PEOPLE, language, PARIS)
    return line.sentence


def test_every_kind_of_timeline_entry_has_a_sentence_in_both_languages():
    assert set(ENTRIES) == set(phrases.TIMELINE)
    for what, data in ENTRIES.items():
        for language in (FR, EN):
            sentence = lines(language, what, **data)
            assert "?" not in sentence
            assert "%(" not in sentence
            assert not sentence.startswith(what), sentence


@pytest.mark.parametrize(
    ("what", "french", "english"),
    [
        ("raised", "Alerte levée par l’appui 812-7", "Alert raised by press 812-7"),
        ("step", "Étape 1 lancée : Écrans des superviseurs, Camille Roux (webhook)",
         "Step 1 leaves: Supervisors' screens, Camille Roux (webhook)"),
        ("answered", "Prise par Camille Roux (console)", "Taken by Camille Roux (console)"),
        ("also-answered", "Alex Martin a répondu aussi ; Camille Roux s’en charge",
         "Alex Martin answered too; Camille Roux has it"),
        ("closed", "Close par Camille Roux : Faux appel : personne n’avait besoin d’aide – personne sur place",
         "Closed by Camille Roux: False call: nobody needed help – personne sur place"),
        ("failed", "Camille Roux : non averti par courriel, abandonné après 4 essais (connection refused)",
         "Camille Roux: not told by e-mail, given up after 4 tries (connection refused)"),
    ],
)  # fmt: skip
def test_timeline_sentences(what, french, english):
    assert (lines(FR, what, **ENTRIES[what]), lines(EN, what, **ENTRIES[what])) == (french, english)


@pytest.mark.parametrize("why", messages.FRESHNESS)
def test_an_order_that_was_refused_says_which_and_why(why):
    said = [lines(language, "command-refused", target="alarm:cour/sirene-1/flash/on", why=why) for language in (FR, EN)]
    assert said[0].startswith("Sortie d’alarme sirene-1/flash : marche – refusée par l’appareil et renvoyée : ")
    assert said[1].startswith("Alarm output sirene-1/flash: on – refused by the device, and sent again: ")
    assert not any(text.endswith(f": {why}") for text in said)


def test_an_all_clear_that_another_alert_holds_back_says_so():
    data = ENTRIES["all-clear"] | {"held": ["alarm:cour/sirene-1/cour"]}
    assert lines(EN, "all-clear", **data) == "Camille Roux gave the all-clear; another open alert keeps outputs on"
    assert lines(FR, "all-clear", **data) == (
        "Camille Roux a donné la fin d’alerte ; une autre alerte ouverte garde des sorties en marche"
    )


def test_an_entry_of_a_newer_backend_is_shown_as_it_is():
    assert lines(FR, "teleported", to="Gap") == 'teleported {"to": "Gap"}'


def test_somebody_who_is_asked_again_has_her_name():
    again = ENTRIES["handed"] | {"kind": "info", "target": "person:1/2"}
    assert lines(EN, "handed", **again) == "Camille Roux: sent by e-mail"


def test_an_erased_person_is_said_so():
    assert lines(EN, "answered", person=9, epoch=1, channel="console") == "Taken by (erased person) (console)"


def test_every_technical_subject_and_progress_has_words():
    told = {key.removeprefix("subject-") for key in notices.PHRASES["fr"] if key.startswith("subject-")}
    assert told - {"unanswered-of"} == set(phrases.SUBJECTS)
    assert set(domain.PROGRESS) == set(phrases.PROGRESS)


def test_a_technical_alert_about_no_device_is_the_systems():
    row = alert(
        category="technical", subject="lateness", site=None, site_name="", address="", device=None, device_name="",
        kind="",
    )  # fmt: skip
    shown = views.alert_row(row, FR, NOW_MS)
    assert (shown.site, shown.post, shown.device) == ("Région Sud", "le système", "")
    assert shown.what == "Des échéances sont servies en retard"
    assert Pages(read_languages(), Assets()).rendered(row, "fr", NOW_MS).say


def test_an_alert_of_another_organisations_device_says_whose_it_is():
    shown = views.alert_row(alert(device_org="lycees"), EN, NOW_MS)
    assert shown.site == "Gare d'Embrun (lycees)"


def test_the_second_closer_the_progress_and_the_drill_are_on_the_row():
    asked = {"category": "threat", "close_asked_id": 1, "close_asked_by": "Camille Roux", "close_asked_reason": "false"}
    taken = {"status": "answered", "owner": "Camille Roux", "owner_id": 1, "answered_ms": NOW_MS, "progress": "on-site"}
    window = {"mode": "drill", "window_id": 3, "window_title": "PPMS", "window_ends_ms": NOW_MS + 600_000}
    pages = Pages(read_languages(), Assets())
    french = pages.rendered(alert(**asked, **taken, **window), "fr", NOW_MS).html
    assert "Camille Roux a demandé la clôture : il faut une deuxième personne" in french
    assert "Prise par Camille Roux, sur place" in french
    english = views.alert_row(alert(**asked, **window), EN, NOW_MS)
    assert english.second == "Camille Roux asked to close it: a second person is needed"
    assert english.drill == "Drill: PPMS, until 16:23:20"
    assert views.alert_row(alert(), EN, NOW_MS).second == views.alert_row(alert(), EN, NOW_MS).drill == ""


def test_who_was_told_and_how_far_it_got():
    rows = [
        notice(),
        notice(channel="email", status="failed", attempts=4, error="connection refused"),
        notice(kind="taken", person="Alex Martin"),
        notice(
            kind="lamp", target="lamp:answered", channel="lamp", person=None, status="delivered", delivered_ms=NOW_MS
        ),
        notice(target="console", channel="console", person=None),
    ]
    found = [(each.who, each.channel, each.state, each.error) for each in views.notices(rows, EN, PARIS)]
    assert found == [
        ("Camille Roux", "webhook", "sent · 16:12:00", ""),
        ("Camille Roux", "e-mail", "failed · 4 tries", "connection refused"),
        ("Alex Martin", "webhook · it is taken", "sent · 16:12:00", ""),
        ("Lamp: call answered", "lamp of the post", "delivered · 16:13:20", ""),
        ("Supervisors' screens", "console", "sent · 16:12:00", ""),
    ]


def test_who_is_next_comes_from_the_frozen_policy():
    names = {"camille": "Camille Roux"}
    assert views.next_people(alert(), EN, names) == ["all supervisors (e-mail)"]
    assert views.next_people(alert(step=1), EN, names) == ["all supervisors (e-mail)"]
    body = json.loads(alert().frozen) | {"passes": 2}
    again = views.next_people(alert(step=1, frozen=json.dumps(body)), EN, names)
    assert again == ["Supervisors' screens", "Camille Roux"]
    more = json.loads(alert().frozen)
    more["steps"] = [*more["steps"][:1], {"delay_ms": 5, "targets": [{"channel": "cap"}]}, more["steps"][1]]
    fell_back = alert(step=0, pass_=2, frozen=json.dumps(more))
    assert views.next_people(fell_back, EN, names) == ["all supervisors (e-mail)"], "the last step, first of all"
    assert views.next_people(alert(status="answered"), EN, names) == []


def test_every_kind_of_target_has_words_in_both_languages():
    targets = [
        {"channel": "console"}, {"channel": "cap"}, {"channel": "dc09/cra"}, {"roster": "astreinte"},
        {"desk": "ville/pm", "channels": ["email"]}, {"alarms": "sirenes"}, {"person": "camille"},
    ]  # fmt: skip
    frozen = json.dumps(
        {"id": "p", "title": "P", "answer_timeout_ms": 0, "passes": 1, "steps": [{"delay_ms": 5, "targets": targets}]}
    )
    assert views.next_people(alert(frozen=frozen), FR, {}) == [
        "Écrans des superviseurs", "CAP", "DC-09 cra", "d’astreinte : astreinte", "poste ville/pm (courriel)",
        "sorties d’alarme sirenes", "camille",
    ]  # fmt: skip
    assert views.next_people(alert(frozen=frozen), EN, {})[3:6] == [
        "on duty: astreinte", "desk ville/pm (e-mail)", "alarm outputs sirenes",
    ]  # fmt: skip


def test_now_says_where_the_alert_stands():
    def now(**changes):
        return views.now_sentence(alert(**changes), EN, PARIS)

    assert now() == "Nobody has taken it yet"
    assert now(unanswered=True).startswith("Nobody answers")
    assert now(epoch=2) == "Raised again, nobody has it now"
    assert now(status="answered", owner="Camille Roux", answered_ms=NOW_MS) == "Taken by Camille Roux at 16:13:20"
    closed = {"status": "closed", "due_ms": None, "closed_ms": NOW_MS, "reason": "false"}
    assert now(**closed, closer="Camille Roux") == (
        "Closed by Camille Roux at 16:13:20: False call: nobody needed help"
    )
    assert now(**closed | {"reason": "cleared"}) == "Closed at 16:13:20: Cleared by itself"


def test_every_reason_to_close_has_words():
    by_itself = {domain.CLEARED_BY_ITSELF, domain.PROBED, domain.PROBE_FAILED}
    assert set(domain.REASONS) | by_itself == set(phrases.REASONS)
    assert [code for code, _ in views.reasons(alert(category="technical"), FR)] == ["technical", "test", "duplicate"]
    assert "technical" not in dict(views.reasons(alert(), FR))


def test_every_role_presence_and_state_of_a_notice_has_words():
    assert set(phrases.ROLES) == set(rights.ROLES)
    assert set(phrases.PRESENCES) == set(liveness.STATES)
    assert set(phrases.NOTICE_STATES) == {
        "pending", "leased", "handed", "delivered", "seen", "failed", "cancelled",
    }  # fmt: skip


# -- posts and sites


def test_posts_that_would_not_work_come_first():
    def device(name, presence, **more):
        row = {"id": name, "site": "s", "site_name": name, "name": "", "presence": presence, "last_seen_ms": None}
        return row | {"beat": "{}", "info": "{}"} | more

    beat = json.dumps({"rssi": -61, "mv": 4970, "spool": 2})
    rows = [
        device("alive", "alive", beat=beat),
        device("never", "never"),
        device("lost", "lost"),
        device("late", "late"),
    ]
    found = views.devices(rows, {"s": "Europe/Paris"}, {"alive": NOW_MS}, FR, NOW_MS)
    assert [each.id for each in found] == ["lost", "late", "never", "alive"]
    assert (found[3].link, found[3].supply, found[3].press_clock) == ("−61 dBm, 2 en attente", "4,97 V", "16:13:20")
    assert (found[2].presence_word, found[2].seen_ago) == ("Jamais vue", "")


def test_the_numbers_to_dial_if_the_screen_goes_dark():
    assert views.phones([]) == ["112"]
    assert views.phones([{"phone": "17"}, {"phone": "04 92 00 00 00"}, {"phone": "17"}]) == ["17", "04 92 00 00 00"]


@pytest.mark.parametrize(
    "path",
    ["https://evil.example", "//evil.example", "/console//evil.example", "/\\evil", "/console/\\evil", "/api/v1", ""],
)
def test_no_redirect_leaves_the_console(path):
    assert inside(path) == "/console"
    assert inside("/console/alerts/x") == "/console/alerts/x"
