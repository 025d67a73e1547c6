// The list of open alerts: rows come as HTML from the server and are merged by their database sequence number, so that
// neither an older snapshot nor a late event can undo what is newer. Arrival moves neither focus nor scroll.

const TOMBSTONES = 500; // closed alerts remembered, so that an older snapshot does not bring one back

function build(html) {
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  return template.content.firstElementChild;
}

function seqOf(row) {
  return Number(row.dataset.seq);
}

/** Replace the parts of `old` that differ, so that a focused or half-pressed button survives a change elsewhere. */
export function morph(old, fresh) {
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const present = old.querySelector(`[data-part="${part.dataset.part}"]`);
    const html = part.outerHTML;
    present.served ??= present.outerHTML;
    if (present.served === html) continue;
    part.served = html;
    present.replaceWith(part);
  }
}

export class Rows {
  /** `root` holds two lists, `[data-rows="untaken"]` and `[data-rows="taken"]`; `redrawn(row)` is told of each change. */
  constructor(root, redrawn) {
    this.root = root;
    this.redrawn = redrawn;
    this.lists = {
      untaken: root.querySelector('[data-rows="untaken"]'),
      taken: root.querySelector('[data-rows="taken"]'),
    };
    this.gone = new Map();
    this.notes = new Map();
  }

  all() {
    return [...this.root.querySelectorAll("[data-alert]")];
  }

  find(id) {
    return this.root.querySelector(`[data-alert="${CSS.escape(id)}"]`);
  }

  firstUntaken() {
    return this.lists.untaken.querySelector("[data-alert]");
  }

  /** Apply one event of the stream. Returns the rows that were not there before. */
  change({ seq, rows, gone }) {
    const added = rows.map(({ html }) => this.put(build(html))).filter((row) => row !== null);
    for (const id of gone) this.drop(id, seq);
    return added;
  }

  /** Apply a whole snapshot read at database sequence `seq`. Returns the rows that were not there before. */
  replace({ seq, rows }) {
    const present = new Set(rows.map(({ id }) => id));
    for (const row of this.all()) {
      if (!present.has(row.dataset.alert) && seqOf(row) <= seq) this.drop(row.dataset.alert, seq);
    }
    return rows.map(({ html }) => this.put(build(html))).filter((row) => row !== null);
  }

  /** One row, as the answer to an action brings it. */
  show(html) {
    this.put(build(html));
  }

  put(fresh) {
    const id = fresh.dataset.alert;
    if ((this.gone.get(id) ?? -1) >= seqOf(fresh)) return null;
    const old = this.find(id);
    if (old !== null && seqOf(old) > seqOf(fresh)) return null;
    const row = old ?? fresh;
    const focused = old !== null && old.contains(document.activeElement) ? document.activeElement : null;
    if (old !== null) morph(old, fresh);
    this.place(row);
    if (focused !== null && document.activeElement !== focused) this.keepFocus(row, focused);
    this.showNote(id);
    this.redrawn(row);
    return old === null ? row : null;
  }

  drop(id, seq) {
    this.gone.set(id, seq);
    if (this.gone.size > TOMBSTONES) this.gone.delete(this.gone.keys().next().value);
    this.notes.delete(id);
    this.find(id)?.remove();
    this.hideEmpty();
  }

  hideEmpty() {
    const section = this.lists.taken.closest("section");
    const empty = this.lists.taken.firstElementChild === null;
    if (section.hidden !== empty) section.hidden = empty;
  }

  place(row) {
    const list = this.lists[row.dataset.group];
    const after = [...list.children].find((other) => other !== row && other.dataset.order > row.dataset.order) ?? null;
    if (row.parentElement === list && row.nextElementSibling === after) return;
    if (row.isConnected && typeof list.moveBefore === "function") list.moveBefore(row, after);
    else list.insertBefore(row, after);
    this.hideEmpty();
  }

  /** The focused control, or what took its place, or the row's own link: focus stays on the same alert. */
  keepFocus(row, focused) {
    const name = focused.dataset.control;
    const again = name === undefined ? null : row.querySelector(`[data-control="${name}"]`);
    (again ?? row.querySelector('[data-control="open"]')).focus({ preventScroll: true });
  }

  /** Say something about an action on its own row. It outlives redrawing; `text` null takes it away. */
  note(id, text, kind = "refused") {
    if (text === null) this.notes.delete(id);
    else this.notes.set(id, { text, kind });
    this.showNote(id);
  }

  showNote(id) {
    const place = this.find(id)?.querySelector("[data-note]");
    if (!place) return;
    const note = this.notes.get(id);
    place.hidden = note === undefined;
    place.textContent = note?.text ?? "";
    if (note) place.dataset.kind = note.kind;
  }
}
