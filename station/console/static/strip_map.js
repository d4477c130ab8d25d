// The map: a coil along, its cameras across. Everything is drawn once on a sheet wider than the window; panning moves
// the sheet, zooming stretches it until the next one is there. So no frame draws more than one picture.

import { Stamps, radius, trace } from "/static/strip_marks.js";
import { place } from "/static/strip_data.js";

const axis_px = 26, gap_px = 4;
const least_length = { mm: 50, ms: 200 };
const margin = 1; // of the window, on either side of it
const reach_px = 16;
const retry_ms = 2000;
const wheel_step = 1.0018;
const steps = [1, 2, 5];

export class StripMap {
  #load; #moved; #picked; #series;
  #canvas; #context; #sheet = document.createElement("canvas");
  #width = 0; #height = 0; #scale = 1;
  #data = null; #repeats = [];
  #busy = false; #again = false; #drawing = 0; #settling = 0;
  #pointers = new Map(); #dragged = 0;
  #stamps = null; #image = null;

  /** `load(query)` gives a view, or null where it can't be had now; `moved` is called when the window did, `picked` with a defect that was clicked. */
  constructor(canvas, unit, series, { load, moved, picked }) {
    Object.assign(this, { unit, begin: 0, end: 1, coil: { begin: 0, end: 1 }, lanes: [], selected: null });
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#load = load;
    this.#moved = moved;
    this.#picked = picked;
    this.#series = series;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.restyle());
    this.#listen();
  }

  /** Take how long the coil is by now, and its cameras. */
  setCoil(begin, end, lanes) {
    const followed = this.end >= this.coil.end && this.begin > this.coil.begin;
    const shift = end - this.coil.end;
    const whole = this.begin <= this.coil.begin && this.end >= this.coil.end;
    this.coil = { begin, end: Math.max(end, begin + least_length[this.unit]) };
    this.lanes = lanes;
    if (whole) this.show(this.coil.begin, this.coil.end);
    else if (followed) this.show(this.begin + shift, this.end + shift);
  }

  /** Show a stretch, within the coil. */
  show(begin, end) {
    const all = this.coil.end - this.coil.begin;
    const length = Math.min(Math.max(end - begin, least_length[this.unit]), all);
    this.begin = Math.min(Math.max((begin + end - length) / 2, this.coil.begin), this.coil.end - length);
    this.end = this.begin + length;
    this.#moved();
    this.draw();
    this.#fetchSoon();
  }

  /** Move by a part of the window. */
  pan(part) {
    const by = part * (this.end - this.begin);
    this.show(this.begin + by, this.end + by);
  }

  /** Make the window `factor` times as long; what is at `part` of it stays there. */
  zoom(factor, part = 0.5) {
    const length = Math.min(Math.max((this.end - this.begin) * factor, least_length[this.unit]), this.coil.end - this.coil.begin);
    const at = this.begin + part * (this.end - this.begin);
    this.show(at - part * length, at + (1 - part) * length);
  }

  /** Show a defect in the middle, and mark it. */
  select(found) {
    this.selected = found;
    if (found && (found.along < this.begin || found.along > this.end)) {
      const half = (this.end - this.begin) / 2;
      this.show(found.along - half, found.along + half);
    }
    this.draw();
  }

  /** Ask for everything anew: the filters are others, or the coil is longer. */
  refresh() {
    this.#fetch();
  }

  /** Take what comes again with every turn. */
  setRepeats(repeats) {
    this.#repeats = repeats;
    this.#paint();
    this.draw();
  }

  /** Take the colours of now. */
  restyle() {
    this.#stamps = new Stamps(this.#scale);
    this.#paint();
    this.draw();
  }

  /** Return the defects of the window from left to right, of those that are drawn. */
  visible() {
    const found = [];
    for (let row = 0; this.#data && row < this.#data.points; row++) {
      const along = this.#data.begin + this.#data.along[row];
      if (along >= this.begin && along <= this.end) found.push(this.#defect(row));
    }
    return found.sort((one, other) => one.along - other.along);
  }

  /** What was drawn last: how many points, and of how many. */
  get drawn() {
    return this.#data;
  }

  #defect(row) {
    const data = this.#data;
    return {
      event: data.event[row], number: data.number[row], label: data.label[row], count: data.count[row], lane: data.lane[row],
      area: data.area[row], across: data.across[row], along: data.begin + data.along[row], verdict: data.verdict[row],
    };
  }

  #resize() {
    this.#scale = Math.min(devicePixelRatio || 1, 2);
    this.#width = this.#canvas.clientWidth;
    this.#height = this.#canvas.clientHeight;
    this.#canvas.width = this.#width * this.#scale;
    this.#canvas.height = this.#height * this.#scale;
    this.restyle();
    this.#fetchSoon();
  }

  get #map_px() {
    return this.#height - axis_px;
  }

  #lane(number) {
    const height = this.#map_px / Math.max(this.lanes.length, 1);
    return { top: number * height + gap_px / 2, height: height - gap_px };
  }

  // ---- what is asked of the server

  #fetchSoon() {
    if (this.#fits()) return;
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.#fetch(), 30);
  }

  /** Whether the sheet still serves: it has some room on both sides, and is not stretched much. */
  #fits() {
    const data = this.#data, length = this.end - this.begin;
    if (!data || !this.#width) return !this.#width;
    const stretched = data.length / length;
    const room = 0.3 * length;
    const left = data.begin <= Math.max(this.begin - room, this.coil.begin);
    const right = data.end >= Math.min(this.end + room, this.coil.end);
    return left && right && stretched > 0.99 && stretched < 1.01;
  }

  async #fetch() {
    if (!this.#width) return;
    if (this.#busy) {
      this.#again = true;
      return;
    }
    const length = this.end - this.begin;
    const begin = Math.max(this.begin - margin * length, this.coil.begin);
    const end = Math.min(this.end + margin * length, this.coil.end);
    const width = Math.max(Math.round(((end - begin) / length) * this.#width), 16);
    this.#busy = true;
    const data = await this.#load({ begin, end, width, height: Math.max(Math.round(this.#map_px), 16) });
    this.#busy = false;
    if (data) {
      this.#data = Object.assign(data, { length, width });
      this.#paint();
      this.draw();
      this.#moved();
    }
    clearTimeout(this.#settling);
    if (this.#again || !this.#fits()) this.#settling = setTimeout(() => this.#fetch(), data ? 0 : retry_ms);
    this.#again = false;
  }

  // ---- what is drawn

  #paint() {
    const data = this.#data;
    if (!data || !this.#stamps) return;
    const scale = this.#scale, per_px = data.width / (data.end - data.begin);
    this.#sheet.width = Math.max(Math.round(data.width * scale), 1);
    this.#sheet.height = Math.max(Math.round(this.#map_px * scale), 1);
    const context = this.#sheet.getContext("2d");
    this.#paintPoints(context, data, per_px * scale);
    context.scale(scale, scale);
    context.globalCompositeOperation = "destination-over";
    this.#paintSpans(context, data, per_px);
    context.globalCompositeOperation = "source-over";
    this.#paintRepeats(context, data, per_px);
  }

  #paintPoints(context, data, per_px) {
    const reach = this.#stamps.reach, { width, height } = this.#sheet;
    const [wide, high] = [width + 2 * reach, height + 2 * reach];
    if (this.#image?.width !== wide || this.#image.height !== high) this.#image = new ImageData(wide, high);
    const pixels = new Uint32Array(this.#image.data.buffer).fill(0);
    const lanes = this.lanes.map((_, number) => this.#lane(number));
    for (let row = 0; row < data.points; row++) {
      const lane = lanes[data.lane[row]] ?? lanes[0];
      const y = (lane.top + data.across[row] * lane.height) * this.#scale;
      this.#stamps.set(pixels, wide, this.#series.of(data.label[row]), data.area[row], data.verdict[row] === 0, data.along[row] * per_px + reach, y + reach);
    }
    context.putImageData(this.#image, -reach, -reach);
  }

  #paintSpans(context, data, per_px) {
    const { colours } = this.#stamps;
    context.fillStyle = hatching(context, colours.invalid, this.#scale);
    for (const [camera, begin, end] of data.spans) {
      const { top, height } = this.#lane(this.lanes.findIndex((lane) => lane.camera === camera));
      const x = (begin - data.begin) * per_px;
      context.fillRect(x, top, Math.max((end - begin) * per_px, 2), height);
    }
  }

  #paintRepeats(context, data, per_px) {
    context.strokeStyle = context.fillStyle = this.#stamps.colours.text;
    for (const repeat of this.#repeats) {
      const { top, height } = this.#lane(this.lanes.findIndex((lane) => lane.camera === repeat.camera));
      const lane = this.lanes.find((lane) => lane.camera === repeat.camera);
      const y = top + (repeat.across_px / Math.max(lane?.width_px ?? 1, 1)) * height;
      const [first, last] = [repeat.begin, repeat.end].map((at) => (at - data.begin) * per_px);
      context.setLineDash([6, 4]);
      line(context, first, y - 14, last, y - 14);
      context.setLineDash([]);
      for (const mark of repeat.marks) {
        const x = (mark - data.begin) * per_px;
        if (x >= 0 && x <= data.width) line(context, x, y - 18, x, y - 10);
      }
    }
  }

  /** Draw the window with the next picture of the screen. */
  draw() {
    this.#drawing ||= requestAnimationFrame(() => {
      this.#drawing = 0;
      this.#drawNow();
    });
  }

  #drawNow() {
    const context = this.#context, data = this.#data;
    if (!this.#stamps) return;
    const { colours } = this.#stamps;
    context.setTransform(this.#scale, 0, 0, this.#scale, 0, 0);
    context.fillStyle = colours.bg;
    context.fillRect(0, 0, this.#width, this.#height);
    const per_px = this.#width / (this.end - this.begin);
    for (const [number, lane] of this.lanes.entries()) {
      const { top, height } = this.#lane(number);
      context.fillStyle = colours.panel;
      context.fillRect((this.coil.begin - this.begin) * per_px, top, (this.coil.end - this.coil.begin) * per_px, height);
      if (this.lanes.length > 1) label(context, lane.name, 6, top + 14, colours.muted);
    }
    if (data && this.#sheet.width > 1)
      context.drawImage(this.#sheet, (data.begin - this.begin) * per_px, 0, (data.end - data.begin) * per_px, this.#map_px);
    this.#drawAxis(context, per_px, colours);
    if (this.selected) this.#drawSelected(context, per_px, colours);
  }

  #drawAxis(context, per_px, colours) {
    const raw = 90 / per_px, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * (steps.find((factor) => factor * power >= raw) ?? 10);
    context.strokeStyle = colours.line;
    for (let at = Math.ceil(this.begin / step) * step; at <= this.end; at += step) {
      const x = (at - this.begin) * per_px;
      line(context, x, this.#map_px, x, this.#map_px + 5);
      label(context, place(at, this.unit, step), x + 3, this.#height - 7, colours.muted);
    }
  }

  #drawSelected(context, per_px, colours) {
    const { top, height } = this.#lane(this.selected.lane);
    const [x, y] = [(this.selected.along - this.begin) * per_px, top + this.selected.across * height];
    context.strokeStyle = colours.text;
    context.lineWidth = 3;
    trace(context, 0, x, y, radius(this.selected.area) + 6);
    context.stroke();
    context.lineWidth = 1;
  }

  // ---- hands

  #listen() {
    const canvas = this.#canvas;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.pan((event.deltaX || event.deltaY) / this.#width);
      else this.zoom(wheel_step ** event.deltaY, event.offsetX / this.#width);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#pointers.set(event.pointerId, event.offsetX);
      this.#dragged = this.#pointers.size > 1 ? Infinity : 0;
      canvas.classList.add("held");
    });
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
    canvas.addEventListener("pointerup", (event) => {
      if (this.#dragged < 5) this.#pick(event.offsetX, event.offsetY);
    });
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, (event) => {
        this.#pointers.delete(event.pointerId);
        canvas.classList.toggle("held", this.#pointers.size > 0);
      });
    canvas.addEventListener("dblclick", (event) => this.zoom(0.25, event.offsetX / this.#width));
  }

  /** Pan with one finger or the mouse, zoom with two. */
  #drag(event) {
    const before = this.#pointers.get(event.pointerId);
    if (before === undefined) return;
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, x]) => x);
    this.#pointers.set(event.pointerId, event.offsetX);
    if (others.length === 1) {
      const [was, is] = [before, event.offsetX].map((x) => Math.max(Math.abs(x - others[0]), 10));
      this.zoom(was / is, others[0] / this.#width);
    } else if (!others.length) {
      this.#dragged += Math.abs(event.offsetX - before);
      this.pan((before - event.offsetX) / this.#width);
    }
  }

  #pick(x, y) {
    const data = this.#data, per_px = this.#width / (this.end - this.begin);
    let nearest = null, least = reach_px ** 2;
    for (let row = 0; data && row < data.points; row++) {
      const { top, height } = this.#lane(data.lane[row]);
      const away = (x - (data.begin + data.along[row] - this.begin) * per_px) ** 2 + (y - top - data.across[row] * height) ** 2;
      if (away <= least) [nearest, least] = [row, away];
    }
    if (nearest !== null) this.#picked(this.#defect(nearest));
  }
}

/** Return slanting lines to fill what was not inspected. */
export function hatching(context, colour, scale) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8 * scale;
  const drawing = tile.getContext("2d");
  drawing.scale(scale, scale);
  drawing.globalAlpha = 0.25;
  drawing.fillStyle = drawing.strokeStyle = colour;
  drawing.fillRect(0, 0, 8, 8);
  drawing.globalAlpha = 0.9;
  for (const x of [-8, 0, 8]) line(drawing, x, 8, x + 8, 0);
  const pattern = context.createPattern(tile, "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / scale));
  return pattern;
}

function line(context, x, y, to_x, to_y) {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(to_x, to_y);
  context.stroke();
}

function label(context, text, x, y, colour) {
  context.font = "13px system-ui, sans-serif";
  context.fillStyle = colour;
  context.fillText(text, x, y);
}
