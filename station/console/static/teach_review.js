// The review: one picture after the other, each decided by a key. Pictures to come are loaded ahead.
import { keys, moment, t } from "/static/base.js";
import { newId, Outbox } from "/static/teach_outbox.js";
import { Viewer } from "/static/teach_viewer.js";

const ahead = 6;
const ask_again_ms = 3000;
const speed_of = 20;
const class_keys = [..."123456789acdefhijklmopqrtvwy"];

const find = (id) => document.getElementById(id);
const start = JSON.parse(find("start").textContent);
const person = find("review").dataset.person;
const csrf = document.querySelector('meta[name="csrf"]').content;

const state = {
  labels: start.labels,
  items: start.items,
  mine: start.mine,
  seen: new Map(start.items.map((item) => [item.id, item])),
  waiting: start.waiting,
  today: start.today,
  why_none: start.why_none,
  reasons: new Set(),
  drawing: false,
  drawn: [],
  times_ms: [],
  asking: false,
};
const viewer = new Viewer(find("view"), find("around"), () => tell());
const outbox = new Outbox(`teach.outbox.${person}`, csrf, (body) => taken(body), (body, line) => refused(body, line));

function current() {
  return state.items[0];
}

function taken() {
  find("refused").hidden = true;
  figures();
}

function refused(body, line) {
  find("refused").textContent = t("teach.refused", { item: body.item ?? body.of, line });
  find("refused").hidden = false;
  state.mine = state.mine.filter(({ id }) => id !== body.id);
  figures();
}

// ---- showing

/** Return a class as people read it. */
function called(label) {
  return label === "unknown" ? t("base.unknown") : label || t("teach.whole_picture");
}

function show() {
  const item = current();
  Object.assign(state, { drawing: false, drawn: [] });
  find("none").hidden = Boolean(item);
  if (item) viewer.show(item);
  else {
    viewer.clear();
    const why = state.why_none === "no_archive" ? t("teach.no_archive") : state.why_none;
    find("none").textContent = `${t("teach.none")} ${why}`;
  }
  tell();
  figures();
  ask();
}

function note(key) {
  find("note").hidden = !key;
  find("note").textContent = key ? t(key) : "";
}

function tell() {
  const item = current();
  note(state.drawing ? "teach.drawing" : "");
  find("said").textContent = item ? called(item.label) : "";
  if (!item) return find("facts").replaceChildren();
  const sure = item.box ? ` ${(100 * item.confidence).toFixed(0)} %` : "";
  const why = document.createElement("small");
  const reason = item.label === item.reason ? "" : ` · ${t(`teach.reason_${item.reason}`)}`;
  why.textContent = `${sure}${reason}`;
  find("said").append(why);
  const { camera, coil, verdict, event, when } = item.facts;
  const words = [camera, coil, verdict && t(`base.${verdict}`), event && `#${event}`, when && moment(when)];
  find("facts").textContent = words.filter(Boolean).join(" · ");
  for (const button of find("classes").children)
    button.toggleAttribute("aria-current", button.dataset.label === item.label);
}

function classes() {
  find("classes").replaceChildren(
    ...state.labels.map((label, place) => {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.dataset.label = label;
      const key = Object.assign(document.createElement("kbd"), { textContent: (class_keys[place] ?? "·").toUpperCase() });
      key.setAttribute("aria-hidden", "true");
      button.append(key, ` ${label}`);
      button.addEventListener("click", () => name(label));
      return button;
    }),
  );
  const table = state.labels.slice(0, class_keys.length).map((label, place) => [class_keys[place], [label, (event) => event.repeat || name(label)]]);
  keys(Object.fromEntries(table));
}

function figures() {
  const left = Object.values(state.waiting).reduce((sum, count) => sum + count, 0);
  find("left").textContent = t("teach.left", { count: left });
  find("today").textContent = t("teach.today", { count: state.today });
  const recent = state.times_ms.slice(-speed_of);
  const pace_s = recent.length > 2 ? (recent.at(-1) - recent[0]) / 1000 / (recent.length - 1) : 0;
  find("speed").textContent = pace_s ? t("teach.speed", { seconds: pace_s.toFixed(1) }) : "";
  const unsent = outbox?.waiting.length ?? 0;
  find("unsent").hidden = unsent === 0;
  find("unsent").textContent = t("teach.unsent", { count: unsent });
  document.documentElement.dataset.unsent = unsent;
  find("last").replaceChildren(
    ...state.mine.slice(0, 6).map((one) => {
      const line = document.createElement("li");
      const is = one.did === "label" ? called(one.label) : t(`teach.did_${one.did}`);
      line.className = "chip";
      line.textContent = one.did === "label" && one.was === one.label ? `✔ ${is}` : `${called(one.was)} → ${is}`;
      return line;
    }),
  );
}

function chips() {
  const names = ["sent", "unknown", "shadow", "doubtful", "empty", "rejected", "audit"];
  find("only").hidden = !names.some((name) => state.waiting[name] || state.reasons.has(name));
  find("reasons").replaceChildren(
    ...names.filter((name) => state.waiting[name] || state.reasons.has(name)).map((name) => {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.textContent = `${t(`teach.reason_${name}`)} ${state.waiting[name] ?? 0}`;
      button.setAttribute("aria-pressed", state.reasons.has(name));
      button.addEventListener("click", () => choose(name));
      return button;
    }),
  );
}

function choose(name) {
  if (!state.reasons.delete(name)) state.reasons.add(name);
  state.items = [];
  chips();
  show();
}

// ---- pictures to come

async function ask() {
  if (state.asking || state.items.length >= ahead) return;
  state.asking = true;
  const unsent = outbox.waiting.map(({ body }) => body.item).filter(Boolean);
  const query = new URLSearchParams();
  for (const id of new Set([...state.items.map(({ id }) => id), ...unsent].slice(0, 64))) query.append("known", id);
  for (const reason of state.reasons) query.append("reason", reason);
  const chosen = [...state.reasons].join();
  try {
    const answer = await fetch(`/teach/next?${query}`, { headers: { Accept: "application/json" } });
    if (answer.ok && chosen === [...state.reasons].join()) arrived(await answer.json());
  } catch {
    // the console is away: the banner says so, and it is asked again
  }
  state.asking = false;
}

function arrived(found) {
  const was_empty = !current();
  const decided = new Set(outbox.waiting.map(({ body }) => body.item));
  const known = new Set(state.items.map(({ id }) => id));
  for (const item of found.items) {
    state.seen.set(item.id, item);
    if (!known.has(item.id) && !decided.has(item.id)) state.items.push(item);
    for (const { url } of Object.values(item.views)) new Image().src = url;
  }
  const { waiting, today, why_none, labels } = found;
  Object.assign(state, { waiting, today: Math.max(today, state.today), why_none });
  const more = labels.filter((label) => !state.labels.includes(label));
  if (more.length) {
    state.labels.push(...more); // at the end: a key that somebody has learnt stays the same
    classes();
    tell();
  }
  chips();
  if (was_empty && current()) show();
  else figures();
}

// ---- deciding

function decide(what, label = "") {
  const item = current();
  if (!item) return;
  const box = what === "label" ? viewer.box : null;
  const id = newId();
  outbox.push("/teach/decide", { id, item: item.id, do: what, label, box });
  state.mine.unshift({ id, item: item.id, was: item.label, label, did: what, box });
  if (!item.box && what === "label" && box) {
    // more may be in this picture
    state.drawn.push(box);
    viewer.show(item, state.drawn);
    state.drawing = false;
    tell();
    return figures();
  }
  state.today += 1;
  if (state.waiting[item.reason]) state.waiting[item.reason] -= 1;
  state.times_ms.push(performance.now());
  state.items.shift();
  chips();
  show();
}

function name(label) {
  const item = current();
  if (!item) return;
  if (item.reason === "empty" && !viewer.box) return draw();
  decide("label", label);
}

function confirmed() {
  const item = current();
  if (!item) return;
  if (state.drawing) {
    state.drawing = false;
    return tell();
  }
  if (!item.box) return decide("done");
  if (item.label === "unknown") return note("teach.which");
  decide("label", item.label);
}

function draw() {
  if (!current()) return;
  state.drawing = true;
  viewer.box ??= viewer.start();
  viewer.draw();
  tell();
}

function leave() {
  state.drawing = false;
  viewer.box = null;
  viewer.draw();
  tell();
}

async function undo() {
  const last = state.mine.shift();
  if (!last) return;
  outbox.push("/teach/undo", { id: newId(), of: last.id });
  state.today = Math.max(0, state.today - 1);
  let item = state.seen.get(last.item);
  if (!item) {
    const answer = await fetch(`/teach/items/${last.item}`, { headers: { Accept: "application/json" } }).catch(() => null);
    if (answer?.ok) item = await answer.json();
  }
  if (item) state.items = [item, ...state.items.filter(({ id }) => id !== item.id)];
  show();
}

function newClass() {
  if (!current()) return;
  find("name").value = "";
  find("naming").showModal();
}

find("naming").addEventListener("submit", (event) => {
  const label = find("name").value.trim();
  if (event.submitter?.value !== "ok" || !label) return;
  if (!state.labels.includes(label)) state.labels.push(label);
  classes();
  name(label);
});

const actions = {
  confirm: confirmed,
  new: newClass,
  no_defect: () => (current()?.box ? decide("not_a_defect") : decide("done")),
  box: draw,
  undo,
  skip: () => decide("skip"),
  zoom: () => current() && viewer.turnZoom(),
};
for (const button of document.querySelectorAll("[data-do]"))
  button.addEventListener("click", () => actions[button.dataset.do]());

const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const moving = (dx, dy) => (event) => state.drawing && viewer.nudge(dx, dy, event.shiftKey);
const once = (what) => (event) => event.repeat || what(); // a key held down decides one picture
keys({
  Enter: [t("teach.do_confirm"), once(confirmed)],
  n: [t("teach.do_new"), once(newClass)],
  x: [t("teach.do_no_defect"), once(actions.no_defect)],
  b: [t("teach.do_box"), draw],
  u: [t("teach.do_undo"), once(undo)],
  s: [t("teach.do_skip"), once(actions.skip)],
  z: [t("teach.do_zoom"), actions.zoom],
  Escape: [t("base.cancel"), () => state.drawing && leave()],
  ...Object.fromEntries(Object.entries(arrows).map(([key, [dx, dy]]) => [key, [t("teach.do_move"), moving(dx, dy)]])),
});

setInterval(() => {
  ask();
  figures();
}, ask_again_ms);
for (const item of state.items) for (const { url } of Object.values(item.views)) new Image().src = url;
classes();
chips();
show();
