// The list of coils: their trend, defects by amount and the share of rejects, over all classes or one.

import { t } from "/static/base.js";
import { get } from "/static/strip_data.js";
import { axis, chart } from "/static/strip_charts.js";

const element = document.getElementById("trend"), choice = document.getElementById("trend-class");
const coils = await get(`/strip/trend?search=${encodeURIComponent(element.dataset.search)}`);

function classes() {
  const counts = new Map();
  for (const coil of coils) for (const [name, count] of Object.entries(coil.labels)) counts.set(name, (counts.get(name) ?? 0) + count);
  return [...counts].sort((one, other) => other[1] - one[1]).map(([name]) => name);
}

/** Return the rate of one class, or of all: null where nothing was inspected. */
function rate(coil) {
  if (coil.rate === null || !choice.value || !coil.defects) return coil.rate;
  return (coil.rate * (coil.labels[choice.value] ?? 0)) / coil.defects;
}

function options(colour) {
  const unit = coils.at(-1).rate_unit, shown = coils.filter((coil) => coil.rate_unit === unit);
  const name = t("strip.defects") + t(`strip.per_${unit}`);
  const names = shown.map((coil) => (coil.name || t("strip.unnamed")) + (coil.part > 1 ? ` · ${coil.part}` : ""));
  return {
    legend: { textStyle: { color: colour.text }, top: 0 },
    xAxis: axis(colour, { type: "category", data: names }),
    yAxis: [axis(colour, { type: "value" }), axis(colour, { type: "value", min: 0, max: 100, splitLine: { show: false }, axisLabel: { formatter: "{value} %" } })],
    series: [
      { name, type: "bar", data: shown.map((coil) => rate(coil)?.toPrecision(3)), itemStyle: { color: colour.s0 }, barMaxWidth: 40 },
      { name: t("strip.reject_share"), type: "line", yAxisIndex: 1, symbol: "diamond", symbolSize: 9, data: shown.map((coil) => (100 * coil.reject_share).toFixed(1)), itemStyle: { color: colour.reject } },
    ],
  };
}

if (coils.length) {
  for (const name of classes()) choice.append(new Option(name, name));
  const trend = await chart(element);
  trend.draw(options);
  choice.addEventListener("change", () => trend.draw(options));
  trend.on("click", ({ dataIndex }) => {
    const shown = coils.filter((coil) => coil.rate_unit === coils.at(-1).rate_unit);
    location.assign(`/strip/coils/${shown[dataIndex].id}`);
  });
} else {
  element.hidden = true;
  document.getElementById("trend-none").hidden = false;
}
document.documentElement.dataset.trend = "";
