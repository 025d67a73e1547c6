// Ages and the clock, from the server's time. The same spans are written by views.span() when there is no script.

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86400;

/** `ms` as "12 s", "3 min 05 s", "2 h 07", "4 j": two units at most, so that nothing jumps in width. */
export function span(ms, day) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const pad = (n) => String(n).padStart(2, "0");
  if (s < MINUTE_S) return `${s} s`;
  if (s < HOUR_S) return `${Math.floor(s / MINUTE_S)} min ${pad(s % MINUTE_S)} s`;
  if (s < DAY_S) return `${Math.floor(s / HOUR_S)} h ${pad(Math.floor((s % HOUR_S) / MINUTE_S))}`;
  return `${Math.floor(s / DAY_S)} ${day}`;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Keep every `[data-since]`, `[data-until]` and `[data-clock]` of the page right, once a second. */
export class Ages {
  constructor(live, phrases) {
    this.live = live;
    this.phrases = phrases;
    const clock = document.querySelector("[data-clock]");
    const zone = document.documentElement.dataset.zone;
    this.clock = clock;
    this.format = new Intl.DateTimeFormat("fr-FR", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: zone });
    setInterval(() => this.refresh(document), 1000);
    this.refresh(document);
  }

  /** Rewrite the ages inside `root`: a row that has just come was rendered when it changed, not now. */
  refresh(root) {
    const now = this.live.now();
    const { ago, in: until, overdue, day } = this.phrases;
    for (const element of root.querySelectorAll("[data-since]")) {
      write(element, ago.replace("{span}", span(now - Number(element.dataset.since), day)));
    }
    for (const element of root.querySelectorAll("[data-until]")) {
      const left = Number(element.dataset.until) - now;
      write(element, left < 0 ? overdue : until.replace("{span}", span(left, day)));
    }
    if (this.clock) write(this.clock, this.format.format(now));
  }
}
