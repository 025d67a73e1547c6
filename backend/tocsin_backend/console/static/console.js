// Composition of a console page: the link, the banner, the counters, the list when there is one, the regions that are
// re-read when there are some. Other scripts listen to the same `Live` object.

import { Ages, span } from "./ages.js";
import { send } from "./deeds.js";
import { Live, fetchWithin } from "./live.js";
import { Rows, morph } from "./rows.js";
import { Speech } from "./speech.js";

const root = document.documentElement;
const phrases = { ...document.querySelector("[data-phrases]").dataset };
const live = new Live({
  stream: root.dataset.stream,
  snapshot: root.dataset.snapshot,
  beatMs: Number(root.dataset.beatMs),
  rereadMs: Number(root.dataset.rereadMs),
});
const speech = new Speech(document.querySelector("[data-say]"), phrases);
const ages = new Ages(live, phrases);
const page = { title: document.title, counts: null };

// Counters, here and in the title. On a lost link they are unknown, and say so.
function showCounts() {
  const known = live.trusted;
  for (const element of document.querySelectorAll("[data-count]")) {
    const value = page.counts?.[element.dataset.count];
    if (known && value === undefined) continue;
    const text = known ? String(value) : "?";
    if (element.textContent !== text) element.textContent = text;
    const zero = String(known && value === 0);
    if (element.dataset.zero !== zero) element.dataset.zero = zero;
    if (element.dataset.optional !== undefined) element.closest("div").hidden = zero === "true";
  }
  const untaken = known ? (page.counts?.untaken ?? 0) : "?";
  document.title = untaken === 0 ? page.title : `(${untaken}) ${page.title}`;
}

function readCounts() {
  const counts = {};
  for (const element of document.querySelectorAll("[data-count]")) {
    counts[element.dataset.count] = Number(element.textContent);
  }
  return counts;
}

// The banner of a lost link.
const banner = document.querySelector("[data-banner]");
const bannerText = banner.querySelector("[data-banner-text]");
let signedOut = false;

function showLink() {
  root.dataset.link = live.trusted ? "live" : "lost";
  banner.hidden = live.trusted;
  banner.querySelector("[data-sign-in]").hidden = !signedOut;
  if (!live.trusted) {
    const text = signedOut ? phrases.signedOut : phrases.lost;
    if (bannerText.textContent !== text) bannerText.textContent = text;
  }
  showCounts();
}

const signal = document.querySelector("[data-signal]");
live.addEventListener("tick", ({ detail }) => {
  const text = phrases.heard.replace("{span}", span(detail.silenceMs, phrases.day));
  if (signal.textContent !== text) signal.textContent = text;
});
live.addEventListener("lost", showLink);
live.addEventListener("back", () => {
  signedOut = false;
  showLink();
  speech.now(phrases.back);
});
live.addEventListener("signed-out", () => {
  signedOut = true;
  live.trusted = false;
  showLink();
});

// The list of open alerts.
const listRoot = document.querySelector("[data-list]");
const rows = listRoot === null ? null : new Rows(listRoot, (row) => ages.refresh(row));
let first = { id: null, changed: -Infinity };
let marked = null; // the row that shows the key's name
const FIRST_GUARD_MS = 400; // a key already on its way must not take the alert that just slid into first place

function noteFirst() {
  const row = rows.firstUntaken();
  const id = row?.dataset.alert ?? null;
  if (id !== first.id) first = { id, changed: first.id !== null && rows.find(first.id) !== null ? performance.now() : -Infinity };
  if (row === marked) return;
  marked?.removeAttribute("data-first");
  row?.setAttribute("data-first", "");
  marked = row;
}

const known = new Set();

function announce(detail, apply) {
  if (rows !== null) {
    apply();
    noteFirst();
  }
  for (const { id, say } of detail.rows) {
    if (say !== null && !known.has(id)) speech.alert(say);
    known.add(id);
  }
  page.counts = detail.counts;
  showCounts();
}

live.addEventListener("rows", ({ detail }) => {
  announce(detail, () => rows.change(detail));
  refreshRegion(detail.rows.map(({ id }) => id).concat(detail.gone));
});

let snapshots = 0;
live.addEventListener("snapshot", ({ detail }) => {
  if (detail !== null) {
    // What was there when the page was opened is read by the person, not spoken.
    if (snapshots === 0) for (const { id } of detail.rows) if (rows === null || rows.find(id) !== null) known.add(id);
    announce(detail, () => rows.replace(detail));
  }
  snapshots += 1;
  refreshRegion(null);
});

// A region of another page (an alert, the devices), re-read at every snapshot and when its alert changes.
const region = document.querySelector("[data-region]");
let regionTag = null;

function busy(part) {
  const field = part.contains(document.activeElement) ? document.activeElement : null;
  const typed = [...part.querySelectorAll("textarea, select, input:not([type=hidden])")].some((input) => input.value !== "");
  return typed || field?.matches("textarea, select, input");
}

async function refreshRegion(ids) {
  if (region === null || (ids !== null && !ids.includes(region.dataset.region))) return;
  try {
    const headers = { Accept: "text/html", ...(regionTag === null ? {} : { "If-None-Match": regionTag }) };
    const answer = await fetchWithin(location.pathname, { headers });
    if (answer.status !== 200) return;
    regionTag = answer.headers.get("ETag");
    const fresh = new DOMParser().parseFromString(answer.body, "text/html").querySelector("[data-region]");
    if (fresh === null) return;
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const present = region.querySelector(`[data-part="${part.dataset.part}"]`);
      // What is being typed stays, unless the alert went on to where it no longer means anything.
      if (present !== null && present.dataset.version === part.dataset.version && busy(present)) part.removeAttribute("data-part");
    }
    morph(region, fresh);
    ages.refresh(region);
  } catch {
    // The watchdog tells of a dead link; the region is greyed with the rest.
  }
}

// Actions. One page-level form carries the anti-forgery token, so that rows are the same for everyone.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-deed]")) return;
  event.preventDefault();
  const button = event.submitter;
  if (button?.dataset.sending === "true") return;
  const url = button?.getAttribute("formaction") ?? form.getAttribute("action");
  const id = button?.closest("[data-alert]")?.dataset.alert ?? null;
  const note = id === null ? form.querySelector("[data-note]") : null;
  const tell = (text, kind) => {
    if (id !== null) rows.note(id, text, kind);
    else if (note !== null) {
      note.hidden = text === null;
      note.textContent = text ?? "";
      note.dataset.kind = kind ?? "";
    }
  };
  tell(phrases.sending, "sending");
  if (button) {
    button.dataset.sending = "true";
    button.setAttribute("aria-disabled", "true");
  }
  const answer = await send(url, form, button);
  if (button) {
    delete button.dataset.sending;
    button.removeAttribute("aria-disabled");
  }
  if (!answer.delivered) {
    tell(phrases.undelivered, "refused");
    speech.now(phrases.undelivered);
    return;
  }
  tell(answer.ok ? null : answer.say, "refused");
  if (answer.row !== null && rows !== null) {
    announce({ rows: [], counts: page.counts }, () => rows.show(answer.row.html));
  }
  speech.now(answer.say);
  if (answer.ok && answer.next !== null) location.assign(answer.next);
  else live.reread();
});

// Keys: Enter, with the focus on nothing, takes the first untaken alert; arrows walk the rows; Escape lets go.
function control(row) {
  return row?.querySelector('[data-control="take"]') ?? row?.querySelector('[data-control="open"]') ?? null;
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const nowhere = document.activeElement === null || document.activeElement === document.body;
  if (event.key === "Escape") {
    for (const panel of document.querySelectorAll("details[open][data-panel]")) {
      panel.open = false;
      panel.querySelector("summary").focus();
      return;
    }
    if (document.activeElement?.closest("[data-list]")) document.activeElement.blur();
    return;
  }
  if (rows === null) return;
  if (event.key === "Enter" && nowhere && !event.repeat) {
    const row = rows.firstUntaken();
    if (row === null) return;
    event.preventDefault();
    if (performance.now() - first.changed < FIRST_GUARD_MS) speech.now(phrases.moved);
    else row.querySelector('[data-control="take"]').click();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const here = document.activeElement?.closest("[data-alert]") ?? null;
    if (!nowhere && here === null) return;
    const list = rows.all();
    const step = event.key === "ArrowDown" ? 1 : -1;
    const target = here === null ? list[0] : list[list.indexOf(here) + step];
    if (target === undefined) return;
    event.preventDefault();
    control(target).focus();
  }
});

page.counts = readCounts();
if (rows !== null) {
  noteFirst();
  // The page was just opened by the person: the first untaken row is one keystroke away. Later arrivals move nothing.
  if (document.activeElement === document.body && rows.firstUntaken() !== null) {
    control(rows.firstUntaken()).focus({ preventScroll: true });
  }
}
showLink();
live.start();
