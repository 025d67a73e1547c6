// What a person does: take, close, sign out. The forms work without this script; with it, an action that was refused or
// not delivered says so where it was made, and nothing is shown as done before the server said so.

import { fetchWithin } from "./live.js";

/**
 * Send one form as `button` would. Resolves to `{delivered, ok, say, row, next}`; `delivered` false means that nobody knows whether the
 * server did it: the page must not pretend either way. A form that keeps the epoch its page showed is given the present one with the
 * answer: a deed that came too late was said to be, so the next try is about what is there now.
 */
export async function send(url, form, button) {
  try {
    const answer = await fetchWithin(url, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(new FormData(form, button)),
    });
    const body = JSON.parse(answer.body);
    const kept = form.querySelector("input[name=epoch]");
    if (kept !== null && (body.epoch ?? null) !== null) kept.value = body.epoch;
    return { delivered: true, ok: answer.ok, say: body.say, row: body.row ?? null, next: body.next ?? null };
  } catch {
    return { delivered: false, ok: false, say: null, row: null, next: null };
  }
}
