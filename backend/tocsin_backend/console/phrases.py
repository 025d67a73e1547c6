"""Every word and sentence that is chosen by a value: priorities, states, reasons, hops, and the timeline's lines.

Texts are sources for the catalogues (locale/). A value without a phrase is shown as it is: what a newer part of the
system wrote must not vanish from a screen.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tocsin_backend.console.language import N_, Language
from tocsin_backend.store.board import AlertRow, EntryRow, NoticeRow

PRIORITIES = {1: N_("Urgent"), 2: N_("Technical"), 3: N_("Exercise")}
CATEGORIES = {
    "call": N_("Call for help"),
    "personal": N_("Personal alert"),
    "threat": N_("Threat"),
    "technical": N_("Technical alert"),
}
SUBJECTS = {
    "lost": N_("The post no longer answers"),
    "stuck": N_("The button seems stuck"),
    "empty-step": N_("Nobody to tell in the policy"),
    "step-undeliverable": N_("Notices cannot be delivered"),
    "unanswered": N_("An alert stays without an answer"),
    "held-at-boot": N_("The button was held at start-up"),
    "counter-went-back": N_("The board was erased or replaced without new credentials"),
    "fault": N_("The post reports a fault"),
    "dropped": N_("The post lost facts"),
    "ack-rejected": N_("The post refused acknowledgements"),
    "centre-lost": N_("A monitoring centre does not answer"),
    "centre-path": N_("A monitoring centre answers by one path only"),
    "probe-overdue": N_("The automatic test did not come"),
    "probe-failed": N_("The automatic test did not go through"),
    "alarm-undelivered": N_("An alarm output did not confirm"),
    "lateness": N_("Timers are served late"),
    "engine-silent": N_("The alert engine was silent"),
}
PRESENCES = {"never": N_("Never seen"), "alive": N_("Alive"), "late": N_("Late"), "lost": N_("Lost")}
STATES = {"raised": N_("To take"), "answered": N_("Taken"), "closed": N_("Closed")}
REASONS = {
    "real": N_("Real call: somebody needed help"),
    "false": N_("False call: nobody needed help"),
    "malicious": N_("Malicious call"),
    "test": N_("Test"),
    "drill": N_("Drill"),
    "duplicate": N_("Duplicate of another alert"),
    "technical": N_("Technical fault"),
    "cleared": N_("Cleared by itself"),
    "probe": N_("Probe: the test went through"),
    "probe-failed": N_("The automatic test did not go through"),
}
PROGRESS = {"en-route": N_("on the way"), "on-site": N_("on site"), "needs-help": N_("needs help")}
NOTICE_STATES = {
    "pending": N_("waiting"),
    "leased": N_("being sent"),
    "handed": N_("sent"),
    "delivered": N_("delivered"),
    "seen": N_("seen"),
    "failed": N_("failed"),
    "cancelled": N_("not needed any more"),
}
NOTICE_KINDS = {
    "taken": N_("it is taken"),
    "closed": N_("it is closed"),
    "info": N_("a second person is asked for"),
    "actuate": N_("order to an alarm output"),
}
CHANNELS = {
    "console": N_("console"),
    "webhook": N_("webhook"),
    "email": N_("e-mail"),
    "sms": N_("SMS"),
    "push": N_("push"),
    "lamp": N_("lamp of the post"),
    "siren": N_("alarm output"),
    "cap": "CAP",
    "dc09": "DC-09",
    "probe": N_("probe"),
    "link": N_("link"),
    "api": N_("API"),
}
LAMPS = {
    "stored": N_("call sent"),
    "fallback": N_("call sent by the site itself"),
    "answered": N_("call answered"),
    "closed": N_("off"),
}
ROLES = {
    "administrator": N_("administrators"),
    "supervisor": N_("supervisors"),
    "technician": N_("technicians"),
    "observer": N_("observers"),
}
HOPS = {
    "published": N_("Post: contact, journal, sending"),
    "received": N_("Post, radio and broker, to the gateway"),
    "held": N_("Gateway: on its disk"),
    "stored": N_("Backend: the alert exists"),
    "handed": N_("First notice accepted by its channel"),
    "lamp_sent": N_("Lamp at the post: call sent"),
    "answered": N_("A person takes the alert"),
    "lamp_answered": N_("Lamp at the post: call answered"),
}

# What came of a deed, by its code.
DEEDS = {
    "taken": N_("You took the alert of %(site)s."),
    "closed": N_("The alert of %(site)s is closed."),
    "taken-by": N_("Already taken by %(name)s."),
    "already-closed": N_("Already closed."),
    "reason": N_("Choose what it was before closing."),
    "forbidden": N_("Your role may not do this."),
    "missing": N_("There is no such alert here."),
    "token": N_("The page was too old to act from. It has been read again: try once more."),
    "signed-out": N_("Your session is over: log in again. Nothing was done."),
    "stale": N_("The alert was raised again meanwhile. Look at it, then try once more."),
    "second": N_("Noted. A second person has to close it too: a silent alert and a threat take two."),
    "unavailable": N_("Not done: the server cannot write just now. Try again."),
}


def word(language: Language, table: Mapping[Any, str], value: Any) -> str:
    """A value's phrase, or the value itself."""
    text = table.get(value)
    return str(value) if text is None else language.say(text)


def what(language: Language, row: AlertRow) -> str:
    """ "Call for help", or what a technical alert is about."""
    if row.category == "technical" and row.subject:
        return word(language, SUBJECTS, row.subject)
    return word(language, CATEGORIES, row.category)


def place(row: AlertRow) -> str:
    """The site, and whose it is where it is another organisation's; the organisation, for an alert about no place."""
    if row.site is None:
        return row.org_name
    return row.site_name if row.device_org == row.org else f"{row.site_name} ({row.device_org})"


def post(language: Language, row: AlertRow) -> str:
    """The post; of an alert about no device, the system."""
    return row.device_name or row.device or language.say("the system")


def priority_word(language: Language, row: AlertRow, rank: int) -> str:
    """The word of a rank; a probe is no exercise."""
    if row.mode == "probe":
        return language.say("Probe")
    return word(language, PRIORITIES, rank)


def told(language: Language, row: AlertRow) -> str:
    """ "Notices sent: 2 of 3" """
    if row.notices == 0:
        return language.say("no personal notice")
    return language.say("notices sent: %(reached)s of %(all)s", reached=row.reached, all=row.notices)


def spoken(language: Language, row: AlertRow, rank: int) -> str:
    """The one short sentence of a new alert."""
    return language.say(
        "New alert, priority %(rank)s, %(site)s, %(post)s",
        rank=rank,
        site=place(row),
        post=post(language, row),
    )


def lamp_name(language: Language, lamp: str) -> str:
    """ "Lamp: call sent" """
    return language.say("Lamp: %(lamp)s", lamp=word(language, LAMPS, lamp))


def alarm_name(language: Language, rest: str) -> str:
    """ "Alarm output sirene-1/cour: on", of "<group>/sirene-1/cour/on" """
    _, device, output, word = rest.split("/")
    name = f"{device}/{output}"
    if word == "on":
        return language.say("Alarm output %(output)s: on", output=name)
    return language.say("Alarm output %(output)s: off", output=name)


def notice_who(language: Language, notice: NoticeRow) -> str:
    """Who a message is for; a lamp order's target is the lamp."""
    if notice.kind == "lamp":
        return lamp_name(language, notice.target.removeprefix("lamp:"))
    if notice.kind == "actuate":
        return alarm_name(language, notice.target.removeprefix("alarm:"))
    if notice.person is not None:
        return notice.person or language.say("(erased person)")
    return language.say("Supervisors' screens") if notice.channel == "console" else notice.target


# --- the timeline

Data = Mapping[str, Any]
NameOf = Callable[[Any], str]
Sentence = Callable[[Language, Data, NameOf], str]
WHY_REOPENED = {
    "press": N_("Raised again: the button was pressed after the alert had been taken"),
    "answer-timeout": N_("Raised again: it was taken, and not closed in time"),
    "escalated": N_("Raised again, by hand"),
    "other-cause": N_("Raised again: something else went wrong"),
    "needs-help": N_("Raised again: whoever has it needs help"),
}

WHY_REFUSED = {  # messages.FRESHNESS
    "nonce": N_("the device has restarted since"),
    "counter": N_("it had seen that command before"),
    "expired": N_("the command came too late"),
}


def sentence(language: Language, entry: EntryRow, people: Mapping[int, str]) -> tuple[str, str]:
    """(a line of the timeline as a person reads it, its weight: "", "strong" or "bad")."""
    data: dict[str, Any] = json.loads(entry.data)

    def name(person: Any) -> str:
        if person is None:
            return language.say("the system")
        return people.get(person) or language.say("(erased person)")

    known = TIMELINE.get(entry.what)
    if known is None:
        return f"{entry.what} {entry.data}" if data else entry.what, ""
    make, weight = known
    return make(language, data, name), weight


def target_name(language: Language, target: str, name: NameOf) -> str:
    """The person, screen or lamp that a dispatch's target stands for."""
    kind, _, rest = target.partition(":")
    person = rest.partition("/")[0]  # "12", and "12/2": asked a second time
    if kind == "person" and person.isdigit():
        return name(int(person))
    if kind == "lamp":
        return lamp_name(language, rest)
    if kind == "alarm" and rest.count("/") == 3:
        return alarm_name(language, rest)
    return language.say("Supervisors' screens") if kind == "console" else target


def _raised(language: Language, data: Data, _: NameOf) -> str:
    if data["category"] == "technical":
        about = word(language, SUBJECTS, data["subject"])
        return language.say("Technical alert raised: %(about)s", about=about)
    if data["mode"] == "drill":
        return language.say("DRILL. Alert raised by press %(signal)s", signal=data["signal"])
    if data["mode"] == "probe":
        return language.say("Probe %(signal)s received", signal=data["signal"])
    return language.say("Alert raised by press %(signal)s", signal=data["signal"])


def _pressed(language: Language, data: Data, _: NameOf) -> str:
    return language.say("Pressed again: ×%(presses)s", presses=data["presses"])


def _returned(language: Language, data: Data, _: NameOf) -> str:
    return language.say("The cause came back: %(about)s", about=word(language, SUBJECTS, data["subject"]))


def _cleared(language: Language, data: Data, _: NameOf) -> str:
    return language.say("The cause went away: %(about)s", about=word(language, SUBJECTS, data["subject"]))


def _step(language: Language, data: Data, name: NameOf) -> str:
    people: dict[str, list[str]] = {}
    for target, channel in data["told"]:
        ways = people.setdefault(target_name(language, target, name), [])
        if channel != "console":
            ways.append(word(language, CHANNELS, channel))
    comma = language.say(", ")
    told = comma.join(f"{who} ({comma.join(ways)})" if ways else who for who, ways in people.items())
    return language.say("Step %(step)s leaves: %(told)s", step=data["step"] + 1, told=told)


def _empty_step(language: Language, data: Data, _: NameOf) -> str:
    return language.say("Step %(step)s has nobody to tell: the next one leaves now", step=data["step"] + 1)


def _undeliverable(language: Language, data: Data, _: NameOf) -> str:
    return language.say("No notice of step %(step)s could be delivered", step=data["step"] + 1)


def _unanswered(language: Language, _: Data, __: NameOf) -> str:
    return language.say("UNANSWERED: every step has left; the last one repeats")


def _reopened(language: Language, data: Data, _: NameOf) -> str:
    return word(language, WHY_REOPENED, data["why"])


def _escalated(language: Language, data: Data, name: NameOf) -> str:
    return language.say("%(name)s asked for the next step", name=name(data["person"]))


def _answered(language: Language, data: Data, name: NameOf) -> str:
    channel = word(language, CHANNELS, data["channel"])
    return language.say("Taken by %(name)s (%(channel)s)", name=name(data["person"]), channel=channel)


def _also_answered(language: Language, data: Data, name: NameOf) -> str:
    return language.say(
        "%(name)s answered too; %(owner)s has it", name=name(data["person"]), owner=name(data["taken_by"])
    )


def _co_answered(language: Language, data: Data, name: NameOf) -> str:
    channel = word(language, CHANNELS, data["channel"])
    return language.say("%(name)s answers as well (%(channel)s)", name=name(data["person"]), channel=channel)


def _progress(language: Language, data: Data, name: NameOf) -> str:
    progress = word(language, PROGRESS, data["progress"])
    return language.say("%(name)s: %(progress)s", name=name(data["person"]), progress=progress)


def _help_needed(language: Language, data: Data, name: NameOf) -> str:
    return language.say("%(name)s needs help", name=name(data["person"]))


def _close_asked(language: Language, data: Data, name: NameOf) -> str:
    reason = word(language, REASONS, data["reason"])
    line = language.say("%(name)s asks to close it: %(reason)s", name=name(data["person"]), reason=reason)
    return f"{line} – {data['note']}" if data["note"] else line


def _close_void(language: Language, _: Data, __: NameOf) -> str:
    return language.say("What was asked about closing no longer counts")


def _many_presses(language: Language, data: Data, _: NameOf) -> str:
    return language.say("Pressed many times: ×%(presses)s", presses=data["presses"])


def _severity(language: Language, data: Data, _: NameOf) -> str:
    return language.say("Severity raised to %(severity)s", severity=data["severity"])


def _all_clear(language: Language, data: Data, name: NameOf) -> str:
    if data.get("held"):
        return language.say(
            "%(name)s gave the all-clear; another open alert keeps outputs on", name=name(data["person"])
        )
    return language.say("%(name)s gave the all-clear: the alarm outputs are switched off", name=name(data["person"]))


def _command_refused(language: Language, data: Data, name: NameOf) -> str:
    why = word(language, WHY_REFUSED, data["why"])
    order = target_name(language, data["target"], name)
    return language.say("%(order)s – refused by the device, and sent again: %(why)s", order=order, why=why)


def _muted(language: Language, data: Data, _: NameOf) -> str:
    about = word(language, SUBJECTS, data["subject"])
    return language.say("Maintenance: nobody is told of this: %(about)s", about=about)


def _stale_answer(language: Language, data: Data, name: NameOf) -> str:
    return language.say("%(name)s answered, too late: it had been raised again", name=name(data["person"]))


def _late_answer(language: Language, data: Data, name: NameOf) -> str:
    return language.say("%(name)s answered after it was closed", name=name(data["person"]))


def _stale_close(language: Language, data: Data, name: NameOf) -> str:
    return language.say("%(name)s tried to close it; it had been raised again", name=name(data["person"]))


def _closed(language: Language, data: Data, name: NameOf) -> str:
    reason = word(language, REASONS, data["reason"])
    if data["person"] is None:
        return language.say("Closed: %(reason)s", reason=reason)
    line = language.say("Closed by %(name)s: %(reason)s", name=name(data["person"]), reason=reason)
    return f"{line} – {data['note']}" if data["note"] else line


def _handed(language: Language, data: Data, name: NameOf) -> str:
    who, channel = target_name(language, data["target"], name), word(language, CHANNELS, data["channel"])
    if data["maybe_dup"]:
        return language.say("%(who)s: sent by %(channel)s, perhaps twice", who=who, channel=channel)
    if data["channel"] == "console":
        return language.say("Sent to the supervisors' screens")
    if data["kind"] == "taken":
        return language.say("%(who)s: told by %(channel)s that it is taken", who=who, channel=channel)
    if data["kind"] == "closed":
        return language.say("%(who)s: told by %(channel)s that it is closed", who=who, channel=channel)
    return language.say("%(who)s: sent by %(channel)s", who=who, channel=channel)


def _failed(language: Language, data: Data, name: NameOf) -> str:
    line = language.plural(
        "%(who)s: not told by %(channel)s, given up after %(num)d try",
        "%(who)s: not told by %(channel)s, given up after %(num)d tries",
        data["attempts"],
        who=target_name(language, data["target"], name),
        channel=word(language, CHANNELS, data["channel"]),
    )
    return f"{line} ({data['error']})" if data["error"] else line


def _lamp(language: Language, data: Data, _: NameOf) -> str:
    return language.say("The post confirms its lamp: %(lamp)s", lamp=word(language, LAMPS, data["lamp"]))


TIMELINE: dict[str, tuple[Sentence, str]] = {
    "raised": (_raised, "strong"),
    "pressed": (_pressed, "strong"),
    "returned": (_returned, ""),
    "cleared": (_cleared, ""),
    "step": (_step, ""),
    "empty-step": (_empty_step, "bad"),
    "step-undeliverable": (_undeliverable, "bad"),
    "unanswered": (_unanswered, "bad"),
    "reopened": (_reopened, "bad"),
    "escalated": (_escalated, "strong"),
    "answered": (_answered, "strong"),
    "also-answered": (_also_answered, ""),
    "co-answered": (_co_answered, "strong"),
    "progress": (_progress, "strong"),
    "also-progress": (_progress, ""),
    "help-needed": (_help_needed, "bad"),
    "close-asked": (_close_asked, "strong"),
    "close-void": (_close_void, ""),
    "many-presses": (_many_presses, ""),
    "severity": (_severity, "bad"),
    "all-clear": (_all_clear, "strong"),
    "command-refused": (_command_refused, ""),
    "muted": (_muted, ""),
    "stale-answer": (_stale_answer, ""),
    "late-answer": (_late_answer, ""),
    "stale-close": (_stale_close, ""),
    "closed": (_closed, "strong"),
    "handed": (_handed, ""),
    "failed": (_failed, "bad"),
    "lamp": (_lamp, ""),
}
