// The panel of one defect: its picture from the archive, or that none was kept, and its numbers.

import { t } from "/static/base.js";
import { number, place } from "/static/strip_data.js";

const $ = (id) => document.getElementById(id);

/** Show a defect of a coil; it stands for `count` of its class on the map. */
export function show_defect(coil, unit, defect, count) {
  $("detail-none").hidden = true;
  $("detail-body").hidden = false;
  $("detail-title").textContent = defect.label;
  const address = `/strip/coils/${coil}/defects/${defect.event}/${defect.number}`;
  for (const kind of ["crop", "frame"]) {
    $(`show-${kind}`).disabled = !defect.pictures[kind];
    $(`show-${kind}`).onclick = () => show_picture(address, kind, defect);
  }
  show_picture(address, ["crop", "frame"].find((kind) => defect.pictures[kind]), defect);
  const rows = [
    ["place", defect.begin === null ? t("strip.nowhere") : `${place(defect.begin, unit)} – ${place(defect.end, unit)}`],
    ["across", across(defect)], ["size", size(defect)], ["area", area(defect)],
    ["confidence", number(defect.confidence, 3)], ["depth", number(defect.depth, 1)],
    ["verdict", `${t(`base.${defect.verdict}`)}${defect.reason ? `: ${defect.reason}` : ""}`],
    ["camera", defect.camera], ["time", new Date(defect.captured).toLocaleString(document.documentElement.lang)],
    ["event", `${defect.event} · ${defect.number}`], ["found_by", defect.found_by],
  ];
  if (defect.novelty !== null) rows.push(["novelty", number(defect.novelty, 3)]);
  if (!defect.counts) rows.push(["counted", t("strip.not_counted")]);
  if (count > 1) rows.push(["stands_for", t("strip.stands_for_value", { count: number(count) })]);
  $("numbers").replaceChildren(...rows.flatMap(([key, value]) => pair(t(`strip.${key}`), value)));
}

/** Show the picture of that kind; of none say so. On the whole frame a box shows where the defect is. */
function show_picture(address, kind, defect) {
  const picture = $("picture"), none = $("not-kept"), box = $("box");
  none.hidden = Boolean(kind);
  none.textContent = defect.trouble || t("strip.not_kept");
  box.hidden = kind !== "frame";
  if (!kind) {
    picture.removeAttribute("src");
    return;
  }
  if (kind === "frame") {
    const [, , width, height] = defect.pictures.frame.box_px;
    const sides = { left: defect.x_px / width, top: defect.y_px / height, width: defect.width_px / width, height: defect.height_px / height };
    for (const [side, part] of Object.entries(sides)) box.style[side] = `${100 * part}%`;
  }
  picture.dataset.kind = kind;
  picture.alt = t("strip.picture_of", { label: defect.label, event: defect.event });
  picture.onerror = () => {
    picture.removeAttribute("src");
    box.hidden = true;
    none.hidden = false;
    none.textContent = t("strip.not_kept");
  };
  picture.src = `${address}/${kind}`;
}

function across(defect) {
  const px = `${number(defect.x_px)} px`;
  return defect.x_mm === null ? px : `${number(defect.x_mm, 1)} mm (${px})`;
}

function size(defect) {
  const px = `${number(defect.width_px)} × ${number(defect.height_px)} px`;
  return defect.width_mm === null ? px : `${number(defect.width_mm, 1)} × ${number(defect.length_mm, 1)} mm (${px})`;
}

function area(defect) {
  const px = `${number(defect.area_px)} px`;
  return defect.area_mm2 === null ? px : `${number(defect.area_mm2, 2)} mm² (${px})`;
}

/** Return a name and its value as parts of a list, in an element of the kind `around` where that is given. */
export function pair(name, value, around) {
  const parts = [Object.assign(document.createElement("dt"), { textContent: name }), Object.assign(document.createElement("dd"), { textContent: value })];
  if (!around) return parts;
  const box = document.createElement(around);
  box.append(...parts);
  return box;
}
