// Beside the pictures: how the parts of the line are, what became of all frames, and what runs.
import { counted, t } from "/static/base.js";

const shown = new Map();

/** Let `make` fill the element `id` where `value` is another one than was shown there. */
function fill(id, value, make) {
  const key = JSON.stringify(value);
  if (shown.get(id) === key) return;
  shown.set(id, key);
  document.getElementById(id).replaceChildren(...make(value));
}

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** A name and a state: its word, with a shape before it, and below it what there is to say. */
function stateRows([name, state, detail]) {
  const known = state ?? "unknown";
  const rows = [element("dt", name), element("dd", t(`live.state_${known}`), { class: "state", "data-state": known })];
  return detail ? [...rows, element("dd", detail, { class: "wide" })] : rows;
}

function textRows([name, text]) {
  return text ? [element("dt", name), element("dd", text)] : [];
}

function healthOf(line) {
  const silence = line.online || line.silent_s === null ? "" : t("live.silent", { seconds: Math.floor(line.silent_s) });
  const rows = [[t("live.station"), line.online ? "online" : "offline", silence]];
  for (const camera of line.cameras) rows.push([camera.name, camera.state, camera.detail]);
  if (line.encoder) rows.push([t("live.encoder"), line.encoder, ""]);
  const quiet = line.online ? "quiet" : null; // what is well says nothing
  for (const one of line.services) rows.push([t(`live.${one.name}`), one.state ?? quiet, one.detail]);
  for (const one of line.gateways) rows.push([one.name, one.state, one.detail]);
  if (line.dropped) rows.push([t("live.dropped"), "degraded", t("live.dropped_count", { count: line.dropped })]);
  return rows;
}

function ledgerRow(name, count, attributes = {}) {
  const row = document.createElement("tr");
  row.append(element("th", name, { scope: "row", ...attributes }), element("td", counted(count), { class: "number" }));
  return row;
}

/** announced = inspected + invalid by reason + what is under way */
function ledgerOf({ name, ledger, under_way }) {
  if (!ledger) return [];
  const table = document.createElement("table");
  table.append(element("caption", name), ledgerRow(t("live.announced"), ledger.announced));
  table.append(ledgerRow(`= ${t("live.inspected")}`, ledger.inspected));
  const invalid = Object.entries(ledger.invalid).filter(([, count]) => count);
  table.append(ledgerRow(`+ ${t("base.invalid")}`, invalid.reduce((sum, [, count]) => sum + count, 0)));
  for (const [reason, count] of invalid) table.append(ledgerRow(reason, count, { class: "of" }));
  table.append(ledgerRow(`+ ${t("live.under_way")}`, under_way));
  const state = under_way < 0 ? "unbalanced" : "balanced";
  return [table, element("p", t(`live.${state}`), { class: "state", "data-state": state })];
}

/** Show what `line` says of the line as a whole. */
export function showPanel(line) {
  fill("live-health", healthOf(line), (rows) => rows.flatMap(stateRows));
  fill(
    "live-ledger",
    line.cameras.map(({ name, ledger, under_way }) => ({ name, ledger, under_way })),
    (cameras) => cameras.flatMap(ledgerOf),
  );
  const order = [
    [t("live.recipe"), line.recipe || t("live.no_recipe")],
    [t("live.part"), line.part],
    [t("live.job"), line.job],
    [t("live.model"), line.model],
    [t("live.engine"), line.engine && `${line.engine}: ${line.why}`],
    [t("live.calibration"), line.calibration || t("live.no_calibration")],
  ];
  fill("live-order", order, (rows) => rows.flatMap(textRows));
}
