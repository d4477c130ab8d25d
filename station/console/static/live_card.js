// One camera: its newest picture with the regions on it, the verdict of that frame, and how old both are.
import { t } from "/static/base.js";

const stale_ms = 2000;

/** How old something is: at least as old as was told of it, and older with every moment, whatever comes or not. */
class Age {
  constructor() {
    this.since_ms = -Infinity;
  }

  /** It was `age_ms` old, or older, at `at_ms` of this page's clock; null is any age. */
  set(age_ms, at_ms = performance.now()) {
    this.since_ms = age_ms === null ? -Infinity : at_ms - age_ms;
  }

  /** Now it is told to be this old: what was believed to be younger is not. */
  atLeast(age_ms) {
    if (age_ms === null || performance.now() - this.since_ms < age_ms) this.set(age_ms);
  }

  get ms() {
    return performance.now() - this.since_ms;
  }
}

export class Card {
  constructor(element) {
    this.element = element;
    this.canvas = element.querySelector("canvas");
    this.drawn = null;
    this.drawnAge = new Age();
    this.newest = null;
    this.newestAge = new Age();
    this.shown = null;
    this.fetching = false;
    this.online = false;
  }

  /** Take what an update says of this camera. */
  take(camera, online) {
    this.online = online;
    if (camera.newest) {
      this.newest = camera.newest;
      this.newestAge.set(camera.newest.age_ms);
    }
    this.put(".live-state", camera.state ? t(`live.state_${camera.state}`) : "");
    if (camera.picture?.version === this.drawn?.version) {
      if (this.drawn) this.drawnAge.atLeast(camera.picture.age_ms);
    } else if (camera.picture && !this.fetching) this.fetch(camera.picture);
    this.age();
  }

  /** Fetch and draw a picture. The time that this takes counts as its age: what comes over a slow network is old. */
  async fetch(picture) {
    const asked_ms = performance.now();
    this.fetching = true;
    const found = await load(`/live/picture/${this.element.dataset.camera}/${picture.version}`).catch(() => null);
    this.fetching = false;
    if (!found) return; // newer ones have come, or the console is away: the next update tells
    this.draw(found.image, picture);
    found.image.close();
    this.drawn = picture;
    this.drawnAge.set(found.age_ms, asked_ms);
    this.age();
  }

  draw(image, picture) {
    this.canvas.width = image.width;
    this.canvas.height = image.height;
    const pen = this.canvas.getContext("2d");
    pen.drawImage(image, 0, 0);
    const scale = picture.size_px ? image.width / picture.size_px[0] : 1;
    const colours = getComputedStyle(this.element);
    const colour = colours.getPropertyValue(picture.verdict === "reject" ? "--mark-reject" : "--mark");
    const taken = [];
    for (const [label, confidence, box] of picture.defects) {
      const room = outline(pen, box, scale, colour);
      name(pen, room, colour, named(label, confidence), taken);
    }
    this.canvas.setAttribute("aria-label", t("live.shows", { camera: this.element.dataset.camera, what: told(picture) }));
  }

  /** Show what is true now: nothing stale is shown as live. */
  age() {
    const live = this.online && this.drawnAge.ms <= stale_ms;
    this.element.dataset.age = this.drawn === null ? "none" : live ? "live" : "stale";
    if (this.drawn && !live) this.put(".live-veil", t("live.stale", { age: written(this.drawnAge.ms) }));
    const useDrawn = this.drawn && (live || !this.newest || this.drawn.event === this.newest.event);
    this.showResult(useDrawn ? this.drawn : this.newest, useDrawn ? this.drawnAge.ms : this.newestAge.ms);
  }

  showResult(result, age_ms) {
    if (!result) return;
    const old = !this.online || age_ms > stale_ms;
    this.put(".live-age", t("live.age", { age: written(age_ms) }));
    this.element.querySelector(".live-result").dataset.old = old ? "yes" : "";
    this.element.querySelector(".live-old").hidden = !old;
    if (this.shown === result) return;
    this.shown = result;
    const verdict = this.element.querySelector(".verdict");
    verdict.dataset.verdict = result.verdict;
    verdict.textContent = t(`base.${result.verdict}`);
    this.put(".live-reason", result.defects.length ? told(result) : result.reason);
    this.showLatency(result);
  }

  showLatency(result) {
    const meter = this.element.querySelector("meter");
    meter.max = result.budget_ms;
    meter.value = result.latency_ms;
    const words = this.element.querySelector(".live-latency span");
    words.textContent = t(result.late ? "live.late" : "live.in_time", {
      latency: result.latency_ms.toFixed(1),
      budget: result.budget_ms,
    });
    words.classList.toggle("live-late", result.late);
  }

  put(place, text) {
    const element = this.element.querySelector(place);
    if (element.textContent !== text) element.textContent = text;
  }
}

/** Return the picture at `url` and its age when it was sent; null where there is none any more. */
async function load(url) {
  const answer = await fetch(url);
  if (!answer.ok) return null;
  const age_ms = Number.parseFloat(answer.headers.get("X-Age-Ms"));
  return { image: await createImageBitmap(await answer.blob()), age_ms: Number.isFinite(age_ms) ? age_ms : null };
}

function named(label, confidence) {
  return label === "unknown" ? t("base.unknown") : `${label} ${Math.round(confidence * 100)} %`;
}

/** Name the first regions, and say how many more there are. */
function told({ defects, beyond }) {
  const most = 3;
  const words = defects.slice(0, most).map(([label, confidence]) => named(label, confidence));
  const more = defects.length - words.length + beyond;
  return words.join(", ") + (more > 0 ? ` ${t("live.more", { count: more })}` : "") || t("live.nothing");
}

function written(ms) {
  if (!Number.isFinite(ms)) return t("live.age_unknown");
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 120_000 ? `${Math.floor(ms / 1000)} s` : `${Math.floor(ms / 60_000)} min`;
}

/** Draw a region's box, a little outside of it so that it hides nothing; return where it stands. */
function outline(pen, box, scale, colour) {
  const dot = dotOf(pen);
  const [x, y, wide, high] = box.map((side) => side * scale);
  const room = [x - 4 * dot, y - 4 * dot, wide + 8 * dot, high + 8 * dot];
  pen.lineWidth = 2 * dot;
  pen.strokeStyle = colour;
  pen.strokeRect(...room);
  return room;
}

/** Write a region's name on a dark ground above or below its box, where none of `taken` stands; else nowhere. */
function name(pen, [x, y, , high], colour, words, taken) {
  const { canvas } = pen;
  const dot = dotOf(pen);
  pen.font = `600 ${14 * dot}px sans-serif`;
  const [length, height] = [pen.measureText(words).width + 8 * dot, 20 * dot];
  const left = Math.max(0, Math.min(x, canvas.width - length));
  const isFree = (top) =>
    top >= 0 &&
    top + height <= canvas.height &&
    taken.every((other) => left >= other.left + other.length || left + length <= other.left || Math.abs(top - other.top) >= height);
  const top = [y - height, y + high].find(isFree);
  if (top === undefined) return;
  taken.push({ left, top, length });
  pen.fillStyle = "#000c";
  pen.fillRect(left, top, length, height);
  pen.fillStyle = colour;
  pen.fillText(words, left + 4 * dot, top + 15 * dot);
}

/** Return how large a dot of the screen is on the canvas. */
function dotOf({ canvas }) {
  return canvas.width / (canvas.clientWidth || canvas.width);
}
