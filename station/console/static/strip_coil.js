// A coil's page: the map, the defect that was picked, filters, Pareto, what comes again and what was not inspected.

import { keys, t } from "/static/base.js";
import { get, number, place, view, wanted } from "/static/strip_data.js";
import { axis, chart } from "/static/strip_charts.js";
import { pair, show_defect } from "/static/strip_detail.js";
import { StripMap } from "/static/strip_map.js";
import { Minimap } from "/static/strip_minimap.js";
import { Series, Stamps } from "/static/strip_marks.js";

const $ = (id) => document.getElementById(id);
const { coil, unit } = $("strip").dataset;
const filters = $("filters"), fault = $("fault");
const look_again_ms = 5000, busy_again_ms = 3000, search_again_ms = 60_000, most_shown = 50;
const verdicts = ["accept", "reject", "invalid"];

const series = new Series();
const map = new StripMap($("map"), unit, series, { load, moved, picked });
const minimap = new Minimap($("minimap"), map, series);
let about = null, pareto = null, order = 0;
let searched = null, searching = false, searched_ms = -Infinity;

// ---- what is known of the coil, looked at again while it runs

async function look() {
  const before = about;
  try {
    about = await get(`/strip/coils/${coil}/about`);
    show_fault(about.trouble && t("strip.trouble", { why: about.trouble }));
  } catch (error) {
    show_fault(error.message);
    return;
  }
  if (before && before.last_event === about.last_event && before.end === about.end) return;
  series.learn(about.labels);
  show_facts();
  show_choices();
  show_spans();
  search_again();
  const lanes = about.ways.map(({ camera, name, width_px }) => ({ camera, name, width_px }));
  map.setCoil(about.begin, about.end, lanes);
  if (!before) map.show(about.begin, about.end);
  refresh();
}

function refresh() {
  map.refresh();
  load(minimap.query).then((data) => data && minimap.set(data));
  show_pareto();
  const query = wanted(filters);
  for (const link of document.querySelectorAll("[data-export]")) link.search = query;
}

async function load(asked) {
  const query = wanted(filters);
  for (const [name, value] of Object.entries(asked)) query.set(name, value);
  try {
    return await view(coil, query);
  } catch (error) {
    show_fault(error.message);
    return null;
  }
}

function show_fault(text) {
  fault.textContent = text;
  fault.hidden = !text;
}

function show_facts() {
  const frames = verdicts.map((verdict) => `${number(about.frames[verdict])} ${t(`base.${verdict}`)}`).join(" · ");
  const length = unit === "mm" ? `${number((about.end - about.begin) / 1000, 1)} m` : `${number((about.end - about.begin) / 60000, 1)} min`;
  const missed = unit === "mm" ? `${number(about.missed / 1000, 1)} m` : `${number(about.missed / 60000, 1)} min`;
  const unplaced = about.ways.reduce((sum, way) => sum + way.unplaced, 0);
  const facts = [["length", length], ["missed", missed], ["frames", frames], ["defects", number(about.defects)]];
  if (about.rate !== null) facts.push(["rate", number(about.rate, about.rate < 10 ? 2 : 0) + t(`strip.per_${about.rate_unit}`)]);
  facts.push(["reject_share", `${number(100 * about.reject_share, 1)} %`]);
  if (unplaced) facts.push(["unplaced", number(unplaced)]);
  if (about.unheard) facts.push(["unheard", number(about.unheard)]);
  $("facts").replaceChildren(...facts.map(([key, value]) => pair(t(`strip.${key}`), value, "div")));
}

// ---- filters

function show_choices() {
  add_choices($("labels"), "labels", about.labels.map(({ id, name, defects }) => [id, `${name} ${number(defects)}`]), true);
  add_choices($("cameras"), "cameras", about.ways.map((way) => [way.camera, way.name]), false);
  $("cameras").hidden = about.ways.length < 2;
}

function add_choices(fieldset, name, choices, with_mark) {
  for (const [id, text] of choices) {
    const known = fieldset.querySelector(`input[value="${id}"]`);
    if (known) {
      known.parentElement.lastChild.textContent = ` ${text}`;
      continue;
    }
    const choice = Object.assign(document.createElement("label"), { className: "choice" });
    choice.append(Object.assign(document.createElement("input"), { type: "checkbox", name, value: id, checked: true }));
    if (with_mark) choice.append(swatch(id));
    choice.append(` ${text}`);
    fieldset.append(choice);
  }
}

function swatch(label) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 40, height: 40 });
  canvas.setAttribute("aria-hidden", "true");
  canvas.dataset.label = label;
  paint_swatch(canvas);
  return canvas;
}

function paint_swatch(canvas) {
  const context = canvas.getContext("2d");
  const stamp = new Stamps(2).of(series.of(Number(canvas.dataset.label)), 2200, false);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(stamp.canvas, (canvas.width - stamp.side) / 2, (canvas.height - stamp.side) / 2);
}

filters.addEventListener("input", refresh);
filters.addEventListener("submit", (event) => event.preventDefault());
$("all").addEventListener("click", () => {
  filters.reset();
  refresh();
});
matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => document.querySelectorAll(".choice canvas").forEach(paint_swatch));

// ---- where the map is

function moved() {
  const step = (map.end - map.begin) / 20;
  const along = `${place(map.begin, unit, step)} – ${place(map.end, unit, step)}`;
  const part = [map.top, map.bottom].map((at) => number(100 * at, map.bottom - map.top < 0.1 ? 1 : 0));
  $("where").textContent = map.bottom - map.top < 1 ? `${along} · ${t("strip.part_across", { from: part[0], to: part[1] })}` : along;
  $("frame").setAttribute("aria-pressed", map.framing);
  minimap.draw();
  const shown = map.shown;
  if (!shown) return;
  const { points, total } = shown;
  $("shown").textContent = points < total ? t("strip.thinned", { points: number(points), total: number(total) }) : t("strip.all_drawn", { total: number(total) });
}

const tools = {
  left: () => map.pan(-0.25), right: () => map.pan(0.25), in: () => map.zoom(0.5), out: () => map.zoom(2),
  across_in: () => map.zoomAcross(0.5), across_out: () => map.zoomAcross(2), frame: () => map.setFraming(!map.framing),
  whole: () => map.show(map.coil.begin, map.coil.end, 0, 1), next: () => step_to(1), previous: () => step_to(-1),
};
for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", tools[button.dataset.tool]);
keys({
  ArrowLeft: [t("strip.left"), tools.left], ArrowRight: [t("strip.right"), tools.right], "+": [t("strip.in"), tools.in], "-": [t("strip.out"), tools.out],
  ".": [t("strip.across_in"), tools.across_in], ",": [t("strip.across_out"), tools.across_out], z: [t("strip.rectangle"), tools.frame],
  0: [t("strip.whole"), tools.whole], n: [t("strip.next"), tools.next], p: [t("strip.previous"), tools.previous],
});

/** Pick the defect after, or before, the one that is picked, of those in the window. */
function step_to(by) {
  const found = map.visible(), now = map.selected;
  if (!found.length) return;
  const at = now ? found.findIndex((one) => one.event === now.event && one.number === now.number) : -1;
  picked(found[at < 0 ? (by > 0 ? 0 : found.length - 1) : (at + by + found.length) % found.length]);
}

// ---- the defect that is picked

async function picked(found) {
  map.select(found);
  const asked = ++order;
  try {
    const defect = await get(`/strip/coils/${coil}/defects/${found.event}/${found.number}`);
    if (asked === order) show_defect(coil, unit, defect, found.count);
  } catch (error) {
    show_fault(error.message);
  }
}

// ---- Pareto, what comes again, what was not inspected

async function show_pareto() {
  let counts;
  try {
    counts = Object.entries(await get(`/strip/coils/${coil}/pareto?${wanted(filters)}`));
  } catch {
    return; // the map has said it
  }
  const ids = new Map(about.labels.map(({ id, name }) => [name, id]));
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  let so_far = 0;
  const shares = counts.map(([, count]) => Math.round((1000 * (so_far += count)) / total) / 10);
  $("pareto-table").replaceChildren(...counts.map(([name, count], at) => row([name, number(count), `${number(shares[at], 1)} %`])));
  pareto ??= chart($("pareto"));
  (await pareto).draw((colour) => ({
    xAxis: axis(colour, { type: "category", data: counts.map(([name]) => name), axisLabel: { interval: 0, rotate: counts.length > 4 ? 30 : 0 } }),
    yAxis: [axis(colour, { type: "value" }), axis(colour, { type: "value", min: 0, max: 100, splitLine: { show: false }, axisLabel: { formatter: "{value} %" } })],
    series: [
      { name: t("strip.defects"), type: "bar", barMaxWidth: 60, data: counts.map(([name, value]) => ({ value, itemStyle: { color: colour[`s${series.of(ids.get(name))}`] } })) },
      { name: t("strip.sum"), type: "line", yAxisIndex: 1, data: shares, itemStyle: { color: colour.muted } },
    ],
  }));
  document.documentElement.dataset.pareto = "";
}

function row(cells) {
  const line = document.createElement("tr");
  line.append(...cells.map((text, at) => Object.assign(document.createElement("td"), { textContent: text, className: at ? "number" : "" })));
  return line;
}

/** Search again now and then, while the coil goes on. */
function search_again() {
  if (!searching && searched?.last_event !== about.last_event && performance.now() - searched_ms > search_again_ms) find_repeats();
}

async function find_repeats() {
  searching = true;
  try {
    searched = await get(`/strip/coils/${coil}/repeats`);
  } catch (error) {
    if (!searched) $("repeats-state").textContent = error.message;
    setTimeout(find_repeats, busy_again_ms);
    return;
  }
  [searching, searched_ms] = [false, performance.now()];
  show_repeats(searched.found);
}

function show_repeats(repeats) {
  $("repeats-state").textContent = unit === "ms" ? t("strip.no_positions") : repeats.length ? t("strip.found_repeats", { count: repeats.length }) : t("strip.no_repeats");
  map.setRepeats(repeats);
  const names = new Map(about.labels.map(({ id, name }) => [id, name]));
  $("repeats").replaceChildren(...repeats.map((one) => to_place(
    t("strip.repeat", {
      distance: number(one.distance_mm, 2), marks: one.total, missing: one.missing, rolls: one.rolls.join(", ") || t("strip.no_roll"),
      labels: Object.entries(one.labels).map(([id, count]) => `${names.get(Number(id))} ${count}`).join(", "),
    }),
    one.begin - one.distance_mm, one.end + one.distance_mm,
  )));
}

function show_spans() {
  $("spans-state").textContent = about.stretches ? t("strip.stretches", { count: number(about.stretches) }) : t("strip.all_inspected");
  const shown = about.spans.slice(0, most_shown).sort((one, other) => one.begin - other.begin);
  const cameras = new Map(about.ways.map((way) => [way.camera, way.name]));
  $("spans").replaceChildren(...shown.map((span) => {
    const length = span.end - span.begin;
    return to_place(`${place(span.begin, unit)} – ${place(span.end, unit)} · ${cameras.get(span.camera)}: ${span.reason}`, span.begin - length, span.end + length);
  }));
}

function to_place(text, begin, end) {
  const item = document.createElement("li"), button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
  button.addEventListener("click", () => map.show(begin, end));
  item.append(button);
  return item;
}

// ---- a report takes seconds: say so, and what went wrong

for (const link of document.querySelectorAll("[data-report]"))
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    link.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(link.href, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error((await answer.json()).error);
      const name = answer.headers.get("Content-Disposition").match(/filename="(.*)"/)[1];
      const address = URL.createObjectURL(await answer.blob());
      Object.assign(document.createElement("a"), { href: address, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(address), busy_again_ms);
      show_fault("");
    } catch (error) {
      show_fault(error.message);
    }
    link.removeAttribute("aria-busy");
  });

await look();
setInterval(() => {
  if (document.hidden) return;
  look();
  if (about) search_again();
}, look_again_ms);
document.documentElement.dataset.strip = "";
