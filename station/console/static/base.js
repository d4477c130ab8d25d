// What every page has: texts, requests with the CSRF word, the station's banner, keys and their help.
//   import { t, send, keys } from "/static/base.js";

const texts = JSON.parse(document.getElementById("texts").textContent);
const csrf = document.querySelector('meta[name="csrf"]').content;
const quiet_ms = 5000;
const locale = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;
const date = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });
const time = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });

/** Return the text of `key` with `values` in its braces. */
export function t(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Return a count as people here write it. */
export function counted(number) {
  return number.toLocaleString(locale);
}

/** Return a moment (milliseconds since 1970, or as ISO 8601) in the time of this computer, without the day if it is today. */
export function moment(at) {
  const then = new Date(at);
  return (then.toDateString() === new Date().toDateString() ? time : date).format(then);
}

/** Send a request with the CSRF word; `body` is FormData, or a value that is sent as JSON. Return the JSON of the answer.
 *  Throws an Error with the one line that the console says; without a login the page leads to it. */
export async function send(url, body = undefined, method = "POST") {
  const headers = { "X-CSRF-Token": csrf, Accept: "application/json" };
  if (body !== undefined && !(body instanceof FormData)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(url, { method, headers, body: method === "GET" ? undefined : body });
  } catch {
    throw new Error(t("base.console_away"));
  }
  if (answer.status === 401) toLogin();
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error ?? `${answer.status}`);
  return told;
}

/** Follow the server-sent events at `url`: `handlers` by the name of the event take its data, parsed. Return what ends it
 *  when `close()` is called. A login that has ended leads to the login page. */
export function follow(url, handlers) {
  const source = new EventSource(url);
  for (const [name, handler] of Object.entries(handlers))
    source.addEventListener(name, (event) => handler(event.data ? JSON.parse(event.data) : null));
  source.addEventListener("ended", toLogin);
  return source;
}

const known = new Map();

/** Let the keys (`{ j: [text, handler] }`, named as KeyboardEvent.key) work outside of fields, and show them in the help. */
export function keys(table) {
  for (const [key, [text, handler]] of Object.entries(table)) known.set(key, { text, handler });
}

function toLogin() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
}

function isTyping(target) {
  return target.closest("input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable]");
}

let going = false;

function press(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || isTyping(event.target)) return;
  if (going) {
    going = false;
    const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
    if (link) {
      event.preventDefault();
      link.click();
      return;
    }
  }
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "g") going = true;
  else if (event.key === "?") showKeys();
  else if (known.has(event.key)) known.get(event.key).handler(event);
  else return;
  event.preventDefault();
}

const signs = { Enter: "⏎", Escape: "Esc", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": t("base.space") };

/** Return what each key does; keys that do the same stand together. */
function rowsOfKeys() {
  const rows = new Map();
  for (const [key, { text }] of known) rows.set(text, [...(rows.get(text) ?? []), signs[key] ?? key]);
  for (const link of document.querySelectorAll("nav a[data-key]")) rows.set(link.textContent, ["g", link.dataset.key]);
  return rows.set(t("base.keys"), ["?"]);
}

function showKeys() {
  const list = document.getElementById("keys-list");
  list.replaceChildren(
    ...[...rowsOfKeys()].map(([text, pressed]) => {
      const term = document.createElement("dt");
      for (const key of pressed) term.append(Object.assign(document.createElement("kbd"), { textContent: key }), " ");
      const row = document.createElement("div");
      row.append(term, Object.assign(document.createElement("dd"), { textContent: text }));
      return row;
    }),
  );
  document.getElementById("keys").showModal();
}

const banner = document.getElementById("down");
let heard_ms = performance.now();

function show(text) {
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = !text;
  document.documentElement.dataset.station = text ? "down" : "up";
}

let source = null;

/** Hear how the station is while the page is seen: a browser has six connections for all its pages of the console. */
function listen() {
  heard_ms = performance.now();
  source?.close();
  source = document.hidden
    ? null
    : follow("/events", {
        station({ online }) {
          heard_ms = performance.now();
          show(online ? "" : t("base.station_down"));
        },
      });
}

document.addEventListener("visibilitychange", listen);
listen();
setInterval(() => {
  if (source === null || performance.now() - heard_ms < quiet_ms) return;
  show(t("base.console_away"));
  if (source.readyState === EventSource.CLOSED) listen(); // an error as answer ends it for good
}, 500);

document.addEventListener("keydown", press);
document.getElementById("help").addEventListener("click", showKeys);
document.addEventListener("submit", (event) => {
  const words = event.submitter?.dataset.confirm;
  if (words && !confirm(words)) event.preventDefault();
});
for (const told of document.querySelectorAll("time"))
  told.textContent = date.format(told.dataset.ns ? Number(told.dataset.ns) / 1e6 : new Date(told.dateTime));
document.documentElement.dataset.ready = "";
