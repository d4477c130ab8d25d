// The map: a coil along, its cameras across. Everything is drawn once on a sheet wider than the window; panning moves
// the sheet, zooming stretches it until the next one is there. So no frame draws more than one picture. Across, the sheet
// has what the window shows, and is drawn anew where that changes.

import { Stamps, radius, trace } from "/static/strip_marks.js";
import { place } from "/static/strip_data.js";

const axis_px = 26, gap_px = 4;
const least_length = { mm: 50, ms: 200 };
const least_part = 0.01; // of the map across
const margin = 1; // of the window, on either side of it
const reach_px = 16, least_frame_px = 8;
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
  #stamps = null; #image = null; #painted = null;
  #frame = null;

  /** `load(query)` gives a view, or null where it can't be had now; `moved` is called when the window did, `picked` with a defect that was clicked. */
  constructor(canvas, unit, series, { load, moved, picked }) {
    Object.assign(this, { unit, begin: 0, end: 1, top: 0, bottom: 1, coil: { begin: 0, end: 1 }, lanes: [], selected: null, framing: false });
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

  /** Show a stretch, within the coil, and of the map across the part from `top` to `bottom`, between 0 and 1. */
  show(begin, end, top = this.top, bottom = this.bottom) {
    const all = this.coil.end - this.coil.begin;
    const length = Math.min(Math.max(end - begin, least_length[this.unit]), all);
    this.begin = Math.min(Math.max((begin + end - length) / 2, this.coil.begin), this.coil.end - length);
    this.end = this.begin + length;
    const part = Math.min(Math.max(bottom - top, least_part), 1);
    this.top = Math.min(Math.max((top + bottom - part) / 2, 0), 1 - part);
    this.bottom = this.top + part;
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

  /** Move across by a part of the window. */
  panAcross(part) {
    const by = part * (this.bottom - this.top);
    this.show(this.begin, this.end, this.top + by, this.bottom + by);
  }

  /** Make the window `factor` times as high; its middle stays, or the defect that is picked comes there. */
  zoomAcross(factor) {
    const middle = this.selected ? this.#part(this.selected) : (this.top + this.bottom) / 2;
    const half = (factor * (this.bottom - this.top)) / 2;
    this.show(this.begin, this.end, middle - half, middle + half);
  }

  /** Let the next drag draw the rectangle to zoom to, or not. */
  setFraming(framing) {
    this.framing = framing;
    this.#canvas.classList.toggle("framing", framing);
    this.#moved();
  }

  /** Show a defect in the middle, and mark it. */
  select(found) {
    this.selected = found;
    if (found && !this.#isWithin(found)) {
      const half = (this.end - this.begin) / 2, across = (this.bottom - this.top) / 2;
      const middle = this.#part(found);
      this.show(found.along - half, found.along + half, middle - across, middle + across);
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
      const defect = this.#defect(row);
      if (this.#isWithin(defect)) found.push(defect);
    }
    return found.sort((one, other) => one.along - other.along);
  }

  /** How many marks the window shows, and for how many defects they stand; null before the first are there. */
  get shown() {
    const data = this.#data, lanes = Math.max(this.lanes.length, 1);
    if (!data) return null;
    let points = 0, total = 0;
    for (let row = 0; row < data.points; row++) {
      const along = data.begin + data.along[row], part = (data.lane[row] + data.across[row]) / lanes;
      if (along < this.begin || along > this.end || part < this.top || part > this.bottom) continue;
      points += 1;
      total += data.count[row];
    }
    return { points, total };
  }

  #defect(row) {
    const data = this.#data;
    return {
      event: data.event[row], number: data.number[row], label: data.label[row], count: data.count[row], lane: data.lane[row],
      area: data.area[row], across: data.across[row], along: data.begin + data.along[row], verdict: data.verdict[row],
    };
  }

  /** Where a defect lies across all cameras' bands, from 0 to 1. */
  #part({ lane, across }) {
    return (lane + across) / Math.max(this.lanes.length, 1);
  }

  #isWithin(found) {
    const part = this.#part(found);
    return found.along >= this.begin && found.along <= this.end && part >= this.top && part <= this.bottom;
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

  /** Where a camera's band lies on the screen; it may reach beyond the map. */
  #lane(number) {
    const whole = this.#map_px / (this.bottom - this.top), height = whole / Math.max(this.lanes.length, 1);
    return { top: number * height - this.top * whole + gap_px / 2, height: height - gap_px };
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
    const part = this.bottom - this.top;
    const stretched = [data.length / length, data.part / part];
    const room = 0.3 * length, room_across = 0.3 * part;
    const left = data.begin <= Math.max(this.begin - room, this.coil.begin);
    const right = data.end >= Math.min(this.end + room, this.coil.end);
    const above = data.top <= Math.max(this.top - room_across, 0), below = data.bottom >= Math.min(this.bottom + room_across, 1);
    return left && right && above && below && stretched.every((by) => by > 0.99 && by < 1.01);
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
    const part = this.bottom - this.top;
    const top = Math.max(this.top - margin * part, 0), bottom = Math.min(this.bottom + margin * part, 1);
    const height = Math.max(Math.round(((bottom - top) / part) * this.#map_px), 16);
    this.#busy = true;
    const data = await this.#load({ begin, end, width, top, bottom, height });
    this.#busy = false;
    if (data) {
      this.#data = Object.assign(data, { length, width, part, top, bottom });
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
    this.#painted = { top: this.top, bottom: this.bottom };
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
      if (y < 0 || y > height) continue;
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
    if (data && (this.#painted?.top !== this.top || this.#painted.bottom !== this.bottom)) this.#paint();
    const { colours } = this.#stamps;
    context.setTransform(this.#scale, 0, 0, this.#scale, 0, 0);
    context.fillStyle = colours.bg;
    context.fillRect(0, 0, this.#width, this.#height);
    const per_px = this.#width / (this.end - this.begin);
    for (const [number, lane] of this.lanes.entries()) {
      const { top, height } = this.#lane(number);
      context.fillStyle = colours.panel;
      context.fillRect((this.coil.begin - this.begin) * per_px, top, (this.coil.end - this.coil.begin) * per_px, height);
      if (this.lanes.length > 1 && top + height > 20) label(context, lane.name, 6, Math.max(top, 0) + 14, colours.muted);
    }
    if (data && this.#sheet.width > 1)
      context.drawImage(this.#sheet, (data.begin - this.begin) * per_px, 0, (data.end - data.begin) * per_px, this.#map_px);
    context.save();
    context.beginPath();
    context.rect(0, 0, this.#width, this.#map_px);
    context.clip();
    if (this.selected) this.#drawSelected(context, per_px, colours);
    if (this.#frame) this.#drawFrame(context, colours);
    context.restore();
    context.clearRect(0, this.#map_px, this.#width, axis_px);
    this.#drawAxis(context, per_px, colours);
  }

  #drawFrame(context, colours) {
    const { left, top, width, height } = this.#rectangle();
    context.strokeStyle = context.fillStyle = colours.accent;
    context.globalAlpha = 0.2;
    context.fillRect(left, top, width, height);
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.strokeRect(left, top, width, height);
    context.lineWidth = 1;
  }

  #rectangle() {
    const [from_x, from_y, to_x, to_y] = this.#frame;
    return { left: Math.min(from_x, to_x), top: Math.min(from_y, to_y), width: Math.abs(to_x - from_x), height: Math.abs(to_y - from_y) };
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
      this.#pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
      this.#dragged = this.#pointers.size > 1 ? Infinity : 0;
      this.#frame = (this.framing || event.shiftKey) && this.#pointers.size === 1 ? [event.offsetX, event.offsetY, event.offsetX, event.offsetY] : null;
      canvas.classList.add("held");
    });
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
    canvas.addEventListener("pointerup", (event) => {
      if (this.#dragged < 5) this.#pick(event.offsetX, event.offsetY);
      else if (this.#frame) this.#showFrame();
    });
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, (event) => {
        this.#pointers.delete(event.pointerId);
        this.#frame = null;
        canvas.classList.toggle("held", this.#pointers.size > 0);
        this.draw();
      });
    canvas.addEventListener("dblclick", (event) => this.zoom(0.25, event.offsetX / this.#width));
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowUp: -0.25, ArrowDown: 0.25 }[event.key];
      if (!by || this.bottom - this.top === 1) return; // then the page scrolls
      event.preventDefault();
      this.panAcross(by);
    });
  }

  /** Pan with one finger or the mouse, zoom with two, or draw a rectangle. */
  #drag(event) {
    const before = this.#pointers.get(event.pointerId);
    if (before === undefined) return;
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, [x]]) => x);
    const [x, y] = [event.offsetX, event.offsetY], [was_x, was_y] = before;
    this.#pointers.set(event.pointerId, [x, y]);
    if (others.length === 1) {
      const [was, is] = [was_x, x].map((at) => Math.max(Math.abs(at - others[0]), 10));
      this.zoom(was / is, others[0] / this.#width);
    } else if (!others.length) {
      this.#dragged += Math.abs(x - was_x) + Math.abs(y - was_y);
      if (this.#frame) this.#frame.splice(2, 2, x, y);
      else this.#panBy((was_x - x) / this.#width, (was_y - y) / this.#map_px);
      this.draw();
    }
  }

  #panBy(along, across) {
    const length = along * (this.end - this.begin), part = across * (this.bottom - this.top);
    this.show(this.begin + length, this.end + length, this.top + part, this.bottom + part);
  }

  /** Zoom to the rectangle that was drawn; a flat one along alone, a narrow one across alone. */
  #showFrame() {
    const { left, top, width, height } = this.#rectangle();
    const along = (px) => this.begin + (px / this.#width) * (this.end - this.begin);
    const across = (px) => this.top + (px / this.#map_px) * (this.bottom - this.top);
    const stretch = width < least_frame_px ? [this.begin, this.end] : [along(left), along(left + width)];
    const part = height < least_frame_px ? [this.top, this.bottom] : [across(top), across(top + height)];
    this.setFraming(false);
    this.show(...stretch, ...part);
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
