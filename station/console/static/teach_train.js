// Data sets, trainings and the live model: what there is, asked for again each second while the page is seen.
import { moment, send, t } from "/static/base.js";
import { propose } from "/static/settings_proposal.js";
import { shape } from "/static/teach_viewer.js";

const every_ms = 1000;
const stages = ["building", "replaying", "shadowing", "switching", "probation"];
const find = (id) => document.getElementById(id);
let state = JSON.parse(find("start").textContent);
let drawn = "";

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function button(text, kind, run, attributes = {}) {
  const made = element("button", text, { type: "button", ...(kind && { class: kind }), ...attributes });
  made.addEventListener("click", run);
  return made;
}

function link(text, href) {
  return element("a", text, { href, class: "button", ...(href.endsWith(".zip") ? { download: "" } : { target: "_blank", rel: "noopener" }) });
}

/** Do what a button asks for, say what went wrong, and look again. */
async function run(url, body, words) {
  if (words && !confirm(words)) return;
  find("fault").hidden = true;
  try {
    await send(url, body);
  } catch (fault) {
    find("fault").textContent = fault.message;
    find("fault").hidden = false;
  }
  await look();
}

async function look() {
  try {
    state = await send("/teach/state", undefined, "GET");
    show();
  } catch {
    // the banner says it
  }
}

function show() {
  const now = JSON.stringify(state);
  if (now === drawn) return;
  drawn = now;
  const total = Object.values(state.counts).reduce((sum, count) => sum + count, 0);
  const classes = Object.entries(state.counts).map(([label, count]) => element("span", `${label} ${count}`, { class: "chip" }));
  find("counts").replaceChildren(total ? t("teach.reviewed", { count: total }) : t("teach.review_first"), " ", ...classes);
  find("make").disabled = !total;
  find("sets").replaceChildren(...state.sets.map(setLine));
  const chosen = find("set").value;
  find("set").replaceChildren(...state.sets.map((set) => element("option", words(set), { value: set.id })));
  if (state.sets.some(({ id }) => id === chosen)) find("set").value = chosen;
  find("no-set").hidden = state.sets.length > 0;
  find("begin").querySelector("button").disabled = state.sets.length === 0;
  showModel(state.model);
  find("keep").hidden = !Object.keys(state.keeping).length;
  const focused = document.activeElement?.dataset?.does;
  find("trainings").replaceChildren(...(state.trainings.length ? state.trainings.map(training) : [element("p", t("teach.none_trained"))]));
  if (focused) document.querySelector(`[data-does="${CSS.escape(focused)}"]`)?.focus();
}

/** Return when a set or a training was made, which its id says. */
function dated(id) {
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)/.exec(id) ?? [];
  if (!parts.length) return id;
  const [year, month, day, ...clock] = parts;
  return moment(`${year}-${month}-${day}T${clock.join(":")}Z`);
}

function words(set) {
  const total = Object.values(set.classes).reduce((sum, count) => sum + count, 0);
  return `${dated(set.id)} · ${t("teach.set_words", { pictures: total, classes: Object.keys(set.classes).length })}`;
}

function setLine(set) {
  const line = element("li", `${words(set)} · ${set.by} `, { title: set.id });
  line.append(link(t("teach.zip"), set.zip), " ", button(t("teach.delete"), "", () => run(`/teach/sets/${set.id}/delete`, {}, t("teach.delete_sure"))));
  if (set.by_frame) line.append(element("p", t("teach.by_frame"), { class: "hint" }));
  for (const why of set.left_out) line.append(element("p", why, { class: "hint" }));
  return line;
}

function showModel(model) {
  find("rollback").disabled = Boolean(model.error) || !model.previous || model.stage !== "idle";
  if (model.error) return find("model").replaceChildren(element("p", model.error, { class: "fault" }));
  const facts = [element("p", model.live), element("p", t("teach.previous", { model: model.previous ?? "–" }), { class: "hint" })];
  if (model.stage !== "idle") {
    const list = element("ol", "", { class: "stages" });
    for (const stage of stages) {
      const item = element("li", t(`teach.stage_${stage}`));
      if (stage === model.stage) item.setAttribute("aria-current", "step");
      list.append(item);
    }
    const bar = element("progress", "", { max: 1, value: model.part, "aria-label": t("teach.swap") });
    facts.push(list, bar, element("p", model.detail, { class: "hint" }));
  } else if (model.outcome) {
    const kind = model.outcome === "kept" ? "better" : "worse";
    facts.push(element("p", t(`teach.outcome_${model.outcome}`), { class: kind, id: "outcome" }), element("p", model.report, { class: "hint" }));
  }
  find("model").replaceChildren(...facts);
}

function training(one) {
  const { job } = one;
  const card = element("article", "", { class: "training", id: `training-${job.id}`, "data-state": one.state });
  const told = element("div");
  const step = one.state === "running" ? `: ${t(`teach.step_${one.step}`)}` : "";
  told.append(
    element("h3", `${dated(job.id)} · ${t(`teach.state_${one.state}`)}${step}`, { title: job.id }),
    element("p", t("teach.training_words", { set: dated(job.set), recipe: t(`teach.recipe_${job.recipe_name}`), by: job.by }), { class: "hint" }),
  );
  if (one.state === "running")
    told.append(element("progress", "", { max: one.epochs || 1, value: one.curve.length, "aria-label": t("teach.step_fitting") }));
  if (one.curve.length) told.append(element("p", figures(one)));
  if (one.detail) told.append(element("p", one.detail, { class: "fault" }));
  if (one.comparison) told.append(...comparison(one));
  const row = element("p", "", { class: "row" });
  row.append(...buttons(one));
  told.append(row);
  card.append(told, curve(one.curve));
  return card;
}

function figures(one) {
  const last = one.curve.at(-1);
  return t("teach.epoch", {
    epoch: one.curve.length,
    epochs: one.epochs || "?",
    loss: (last.val_loss ?? NaN).toFixed(3),
    right: (100 * (last.whole_accuracy ?? NaN)).toFixed(0),
  });
}

function buttons(one) {
  const { id } = one.job;
  const at = `/teach/trainings/${id}`;
  const does = (name) => ({ "data-does": `${name}-${id}` });
  const found = [];
  if (one.state === "running") found.push(button(t("base.cancel"), "danger", () => run(`${at}/cancel`, {}), does("cancel")));
  if (one.state === "interrupted") found.push(button(t("teach.resume"), "main", () => run(`${at}/resume`, {}), does("resume")));
  if (one.has_report) found.push(link(t("teach.report"), `${at}/report`));
  if (one.comparison) found.push(link(t("teach.pareto"), `${at}/pareto`));
  if (one.model) found.push(button(t("teach.swap"), "main", () => run(`${at}/swap`, {}, t("teach.swap_sure")), does("swap")));
  found.push(link(t("teach.log"), `${at}/log`));
  if (one.state !== "running") found.push(button(t("teach.delete"), "", () => run(`${at}/delete`, {}, t("teach.delete_sure")), does("delete")));
  return found;
}

/** Say how the new model and the live one did on the same untouched pictures. */
function comparison({ job, comparison: found }) {
  const percent = (interval) => `${(100 * interval.value).toFixed(1)} % (${(100 * interval.low).toFixed(0)}–${(100 * interval.high).toFixed(0)})`;
  const rows = found.entries.map((entry) => {
    const row = element("tr");
    const mine = entry.run.endsWith("/run");
    const cells = [mine ? t("teach.new_model") : job.live_title, entry.metrics.n, percent(entry.metrics.accuracy), percent(entry.metrics.macro_f1)];
    row.append(...cells.map((cell) => element("td", `${cell}`)));
    return row;
  });
  const table = element("table");
  const head = element("tr");
  head.append(...["model", "pictures", "accuracy", "macro_f1"].map((name) => element("th", t(`teach.head_${name}`), { scope: "col" })));
  table.append(element("caption", t("teach.same_split")), head, ...rows);
  const chance = found.entries.some(({ behind }, place) => place && behind && behind.low <= 0);
  return [table, ...(chance ? [element("p", t("teach.by_chance"), { class: "hint" })] : [])];
}

/** Draw the losses of training and validation, an epoch a step. */
function curve(rows) {
  const place = element("div");
  if (rows.length < 2) return place;
  const drawing = shape("svg", { class: "curve", viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", "aria-label": t("teach.curve") });
  const most = Math.max(...rows.flatMap((row) => [row.train_loss ?? 0, row.val_loss ?? 0]));
  for (const name of ["train_loss", "val_loss"]) {
    const points = rows.map((row, epoch) => [(100 * epoch) / (rows.length - 1), 98 - (96 * (row[name] ?? 0)) / most].join());
    drawing.append(shape("polyline", { class: name, points: points.join(" ") }));
  }
  place.append(drawing, element("p", t("teach.legend"), { class: "legend" }));
  return place;
}

find("make").addEventListener("click", () => run("/teach/sets", {}));
find("rollback").addEventListener("click", () => run("/teach/rollback", {}, t("teach.rollback_sure")));
find("keep").addEventListener("click", () => propose(state.keeping));
find("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  run("/teach/trainings", { set: find("set").value, recipe: find("recipe").value, base: find("base")?.checked ?? false });
});
setInterval(() => document.hidden || look(), every_ms);
show();
