// The last verdicts: a ribbon of shapes, the newest at the left, and a list of the same.
import { t } from "/static/base.js";

export class Ticker {
  constructor() {
    this.ribbon = document.getElementById("live-ribbon");
    this.list = document.getElementById("live-list");
    this.details = this.list.closest("details");
    this.rows = [];
    this.details.addEventListener("toggle", () => this.showList());
  }

  /** Show `rows` of [event, camera, verdict, reason, latency_ms, late]. */
  show(rows) {
    if (rows[0]?.[0] === this.rows[0]?.[0]) return;
    this.rows = rows;
    resize(this.ribbon, rows.length, "li");
    rows.forEach(([event, camera, verdict, reason], place) => {
      const item = this.ribbon.children[place];
      item.className = "verdict";
      item.dataset.verdict = verdict;
      item.title = [event, camera, t(`base.${verdict}`), reason].filter(Boolean).join(" · ");
      word(item, t(`base.${verdict}`));
    });
    this.showList();
  }

  showList() {
    if (!this.details.open) return;
    resize(this.list, this.rows.length, "tr");
    this.rows.forEach((row, place) => showRow(this.list.children[place], row));
  }
}

/** Let `element` have `count` children, the old ones as far as they go. */
function resize(element, count, tag) {
  while (element.children.length > count) element.lastElementChild.remove();
  while (element.children.length < count) element.append(document.createElement(tag));
}

/** Let `item` say its word to who can't see its shape. */
function word(item, text) {
  if (!item.firstElementChild) item.append(Object.assign(document.createElement("span"), { className: "hidden" }));
  item.firstElementChild.textContent = text;
}

function showRow(element, [event, camera, verdict, reason, latency_ms, late]) {
  resize(element, 5, "td");
  const [number, place, judged, why, latency] = element.children;
  number.className = latency.className = "number";
  number.textContent = event;
  place.textContent = camera;
  resize(judged, 1, "span");
  judged.firstElementChild.className = "verdict";
  judged.firstElementChild.dataset.verdict = verdict;
  judged.firstElementChild.textContent = t(`base.${verdict}`);
  why.textContent = reason;
  latency.textContent = late ? t("live.late_ms", { latency: latency_ms.toFixed(1) }) : `${latency_ms.toFixed(1)} ms`;
}
