// The live link of a console page. Push is an optimisation; the snapshot is the guarantee.
//
// A native EventSource dies for good on an answer other than 200 and stays "open" on a half-open link, so the watchdog
// and the reopening are here. The server sends a named `beat` every `beatMs`; comments would be invisible to a script.
// `trusted` is true only while beats are young AND the snapshot was read since the stream was (re)opened: whatever is
// shown as fact is shown only then.

const PERIODS = 2.5; // CONSOLE.md C2: no beat for 2.5 periods is a lost link
const WATCH_MS = 500; // the banner is due within 6 s: 5 s without a beat, plus at most one look of the watchdog
const REOPEN_MS = 500; // after a closed stream; doubled up to REOPEN_MAX_MS, so a restart is seen in less than 3 s
const REOPEN_MAX_MS = 2000;
const HALF_OPEN_MS = 4000; // a lost stream that still says "open" is thrown away this often
const FETCH_MS = 5000;

/** Milliseconds since `mark`, by the slower-proof of two clocks: one of them stops while a laptop sleeps. */
function since(mark) {
  return Math.max(performance.now() - mark.monotonic, Date.now() - mark.wall);
}

function mark() {
  return { monotonic: performance.now(), wall: Date.now() };
}

/** fetch with a deadline; rejects on silence as it does on a refused connection. */
export async function fetchWithin(url, options = {}, limitMs = FETCH_MS) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), limitMs);
  try {
    const response = await fetch(url, { cache: "no-store", credentials: "same-origin", ...options, signal: abort.signal });
    const body = response.status === 304 ? "" : await response.text();
    return { status: response.status, ok: response.ok, headers: response.headers, url: response.url, body };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Events: `rows` and `snapshot` (detail: the server's object), `lost`, `back`, `signed-out`, `tick` (detail: ms since
 * the last sign of the server). `snapshot` fires for every successful read, also an unchanged one (detail null).
 */
export class Live extends EventTarget {
  constructor({ stream, snapshot, beatMs, rereadMs }) {
    super();
    Object.assign(this, { stream, snapshot, beatMs, rereadMs });
    this.trusted = true; // the page was rendered by the server a moment ago
    this.heard = mark();
    this.read = mark();
    this.opened = mark();
    this.readSinceOpen = false;
    this.etag = null;
    this.clockOffsetMs = 0;
    this.reopenMs = REOPEN_MS;
    this.reopenTimer = null;
    this.reading = false;
    this.readAgain = false;
  }

  start() {
    this.open();
    setInterval(() => this.watch(), WATCH_MS);
    setInterval(() => this.reread(), this.rereadMs);
    for (const name of ["visibilitychange", "online", "pageshow"]) {
      const target = name === "visibilitychange" ? document : window;
      target.addEventListener(name, () => this.watch());
    }
  }

  /** The server's wall clock, in epoch milliseconds. */
  now() {
    return Date.now() + this.clockOffsetMs;
  }

  open() {
    clearTimeout(this.reopenTimer);
    this.reopenTimer = null;
    this.source?.close();
    this.opened = mark();
    this.readSinceOpen = false;
    const source = new EventSource(this.stream);
    this.source = source;
    source.addEventListener("open", () => {
      this.readSinceOpen = false;
      this.reread();
    });
    source.addEventListener("beat", (event) => this.onBeat(JSON.parse(event.data)));
    source.addEventListener("rows", (event) => {
      this.heard = mark();
      this.emit("rows", JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      if (source === this.source && source.readyState === EventSource.CLOSED) this.reopenSoon();
    });
  }

  reopenSoon() {
    if (this.reopenTimer !== null) return;
    this.reread(); // it may say why: 401 is a session that is over
    this.reopenTimer = setTimeout(() => this.open(), this.reopenMs);
    this.reopenMs = Math.min(this.reopenMs * 2, REOPEN_MAX_MS);
  }

  onBeat(beat) {
    this.heard = mark();
    this.reopenMs = REOPEN_MS;
    this.clockOffsetMs = beat.now_ms - Date.now();
    if (!this.readSinceOpen) this.reread();
    this.watch();
  }

  /** Read the snapshot; a request made during a read is served by one more read after it. */
  async reread() {
    if (this.reading) {
      this.readAgain = true;
      return;
    }
    this.reading = true;
    const openedBefore = this.opened;
    try {
      const headers = this.etag === null ? {} : { "If-None-Match": this.etag };
      const answer = await fetchWithin(this.snapshot, { headers });
      if (answer.status === 200 || answer.status === 304) {
        this.etag = answer.headers.get("ETag");
        this.read = mark();
        this.readSinceOpen = openedBefore === this.opened;
        this.emit("snapshot", answer.status === 200 ? JSON.parse(answer.body) : null);
        this.watch();
      } else if (answer.status === 401) {
        this.emit("signed-out", null);
      }
    } catch {
      // No answer: the watchdog says so. Nothing is shown as true that was not read.
    } finally {
      this.reading = false;
      if (this.readAgain) {
        this.readAgain = false;
        this.reread();
      }
    }
  }

  watch() {
    const silenceMs = since(this.heard);
    const young = silenceMs < PERIODS * this.beatMs && since(this.read) < PERIODS * this.rereadMs;
    if (this.trusted && !young) {
      this.trusted = false;
      this.etag = null;
      this.emit("lost", { silenceMs });
    } else if (!this.trusted && young && this.readSinceOpen) {
      this.trusted = true;
      this.emit("back", null);
    }
    if (!this.trusted && this.reopenTimer === null && since(this.opened) > HALF_OPEN_MS) this.open();
    this.emit("tick", { silenceMs });
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
