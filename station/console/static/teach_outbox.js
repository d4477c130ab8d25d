// Decisions on their way to the console: kept in the browser until it has them, one after the other, each under its own id.
// A request that got no answer is sent again; the console counts an id once.

const again_ms = 700;
const refusals = new Set([400, 404, 409, 410, 422]);

/** Return an id for a decision. */
export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Decisions that wait, under `name` in the browser's storage. `told` gets (body, answer), `refused` (body, line). */
export class Outbox {
  constructor(name, csrf, told, refused) {
    Object.assign(this, { name, csrf, told, refused, sending: false });
    this.flush();
  }

  get waiting() {
    return JSON.parse(localStorage.getItem(this.name) ?? "[]");
  }

  push(url, body) {
    localStorage.setItem(this.name, JSON.stringify([...this.waiting, { url, body }]));
    this.flush();
  }

  async flush() {
    if (this.sending) return;
    this.sending = true;
    for (let next = this.waiting[0]; next; next = this.waiting[0]) {
      const tell = await this.#deliver(next);
      if (tell) {
        this.#forget(next.body.id);
        tell();
      } else await new Promise((wake) => setTimeout(wake, again_ms));
    }
    this.sending = false;
  }

  #forget(id) {
    localStorage.setItem(this.name, JSON.stringify(this.waiting.filter(({ body }) => body.id !== id)));
  }

  /** Send one; return what tells of it when the console has it or will never take it, and nothing otherwise. */
  async #deliver({ url, body }) {
    const headers = { "X-CSRF-Token": this.csrf, "Content-Type": "application/json", Accept: "application/json" };
    let answer, told;
    try {
      answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
      told = await answer.json();
    } catch {
      return null;
    }
    if (answer.ok) return () => this.told(body, told);
    if (refusals.has(answer.status)) return () => this.refused(body, told.error);
    if (answer.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
    return null;
  }
}
