// One short sentence at a time in one polite live region. Throttled with a maximum wait: a debounce would stay silent
// through a whole flood.

const GAP_MS = 1000;

export class Speech {
  constructor(region, phrases) {
    this.region = region;
    this.phrases = phrases;
    this.waiting = [];
    this.timer = null;
    this.lastMs = -Infinity;
  }

  /** A new alert was shown: `sentence` names it; several waiting become one count. */
  alert(sentence) {
    this.waiting.push(sentence);
    if (this.timer !== null) return;
    this.timer = setTimeout(() => this.flush(), Math.max(0, this.lastMs + GAP_MS - performance.now()));
  }

  /** Something the person did, or the link: said at once. */
  now(sentence) {
    this.lastMs = performance.now();
    this.region.textContent = sentence;
  }

  flush() {
    this.timer = null;
    const [first, ...others] = this.waiting;
    this.waiting = [];
    if (first === undefined) return;
    this.now(others.length === 0 ? first : this.phrases.several.replace("{count}", String(others.length + 1)));
  }
}
