// Light and focus of the newest picture while somebody turns lamp and lens, and the steps of the calibration.
import { send, t } from "/static/base.js";
import { axis, chart } from "/static/strip_charts.js";

const period_ms = 700;
const commands = JSON.parse(document.getElementById("commands").textContent);
const find = (id) => document.getElementById(id);
const [camera, source, step, follow] = ["camera", "source", "step", "follow"].map(find);
const histogram = await chart(find("histogram"));
const across = await chart(find("across"));
let best = 0;

async function show({ name, figures }) {
  const bytes = Uint8Array.from(atob(figures.jpeg), (letter) => letter.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
  [find("picture").width, find("picture").height] = [image.width, image.height];
  find("picture").getContext("2d").drawImage(image, 0, 0);
  best = Math.max(best, figures.sharpness);
  find("sharpness").textContent = figures.sharpness.toFixed(3);
  find("best").textContent = best.toFixed(3);
  find("of-best").style.width = `${best ? (100 * figures.sharpness) / best : 0}%`;
  find("mean").textContent = figures.mean_level.toFixed(1);
  find("clipped").textContent = `${(100 * figures.clipped).toFixed(2)} %`;
  find("black").textContent = `${(100 * figures.black).toFixed(2)} %`;
  find("told").textContent = name;
  const wide = 256 / figures.histogram.length;
  plot(histogram, "bar", figures.histogram.map((share, bin) => [Math.round((bin + 0.5) * wide), share]), t("settings.level"), 255);
  plot(across, "line", figures.across.map((level, part, all) => [(100 * part) / (all.length - 1), level]), t("settings.part_across"), 100, 255);
}

function plot(drawn, type, data, name, right, top = undefined) {
  drawn.draw((colour) => ({
    grid: { left: 8, right: 16, top: 12, bottom: 24, containLabel: true },
    xAxis: axis(colour, { type: "value", min: 0, max: right, name, nameLocation: "middle", nameGap: 24 }),
    yAxis: axis(colour, { type: "value", min: 0, max: top }),
    series: [{ type, data, barWidth: 3, showSymbol: false, itemStyle: { color: colour.accent }, lineStyle: { color: colour.accent } }],
  }));
}

async function look() {
  if (!document.hidden && follow.getAttribute("aria-pressed") === "true")
    try {
      await show(await send(`/settings/calibration/look?${new URLSearchParams({ camera: camera.value, source: source.value })}`, undefined, "GET"));
    } catch (fault) {
      find("told").textContent = fault.message;
    }
  setTimeout(look, period_ms);
}

function showStep({ step: name, camera: of, code, words }) {
  const runs = Boolean(name) && code === null;
  find("begin").disabled = runs;
  find("stop").disabled = !runs;
  const told = runs ? "settings.step_runs" : code === 0 ? "settings.step_done" : "settings.step_failed";
  find("step-state").textContent = name ? t(told, { step: t(`settings.step_${name}`), camera: of, code }) : "";
  find("step-words").textContent = words;
  find("step-words").hidden = !words;
  document.documentElement.dataset.step = name ? (runs ? "runs" : "ended") : "";
  return runs;
}

async function watch(asked) {
  try {
    if (showStep(await asked)) setTimeout(() => watch(send("/settings/calibration/step", undefined, "GET")), period_ms);
  } catch (fault) {
    find("step-state").textContent = fault.message;
  }
}

function showCommand() {
  find("command").textContent = commands[`${camera.value} ${step.value}`];
}

follow.addEventListener("click", () => follow.setAttribute("aria-pressed", String(follow.getAttribute("aria-pressed") !== "true")));
for (const choice of [camera, source]) choice.addEventListener("change", () => (best = 0));
for (const choice of [camera, step]) choice.addEventListener("change", showCommand);
find("begin").addEventListener("click", () => watch(send("/settings/calibration/step", { step: step.value, camera: camera.value })));
find("stop").addEventListener("click", () => send("/settings/calibration/stop"));
showCommand();
watch(send("/settings/calibration/step", undefined, "GET"));
look();
