// Pareto and trend by Apache ECharts, in the page's colours. Loaded when the rest of the page is there.

import { colours } from "/static/strip_marks.js";

let loading = null;

async function library() {
  loading ??= import("/static/vendor/echarts.min.js");
  await loading;
  return globalThis.echarts;
}

/** Return a chart in `element` that follows its size; `draw(options, colours)` shows something. */
export async function chart(element) {
  const drawn = (await library()).init(element, null, { renderer: "canvas" });
  let last = null;
  const draw = (options) => {
    last = options;
    drawn.setOption({ ...base(colours()), ...options(colours()) }, true);
  };
  new ResizeObserver(() => drawn.resize()).observe(element);
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => last && draw(last));
  return { draw, on: (name, handler) => drawn.on(name, handler) };
}

function base(colour) {
  return {
    animation: false,
    textStyle: { color: colour.text, fontFamily: "system-ui, sans-serif", fontSize: 14 },
    grid: { left: 30, right: 8, top: 36, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "all" },
    tooltip: { trigger: "axis", renderMode: "richText", confine: true, backgroundColor: colour.raised, borderColor: colour.line, textStyle: { color: colour.text } },
  };
}

/** Return an axis in the page's colours. */
export function axis(colour, options) {
  return {
    axisLine: { lineStyle: { color: colour.line } }, splitLine: { lineStyle: { color: colour.line, opacity: 0.4 } },
    nameTextStyle: { color: colour.muted }, ...options, axisLabel: { color: colour.muted, ...options.axisLabel },
  };
}
