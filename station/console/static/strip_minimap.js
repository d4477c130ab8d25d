// The whole coil in a narrow band, with the window of the map on it: drag to move, click to go there.

import { colours } from "/static/strip_marks.js";
import { hatching } from "/static/strip_map.js";

export class Minimap {
  #canvas; #map; #series; #sheet = null; #data = null; #waiting = 0;

  constructor(canvas, map, series) {
    this.#canvas = canvas;
    this.#map = map;
    this.#series = series;
    new ResizeObserver(() => this.#paint()).observe(canvas);
    const go = (event) => {
      if (!event.buttons) return;
      const at = map.coil.begin + (event.offsetX / canvas.clientWidth) * (map.coil.end - map.coil.begin);
      const half = (map.end - map.begin) / 2, half_across = (map.bottom - map.top) / 2;
      const across = event.offsetY / canvas.clientHeight;
      map.show(at - half, at + half, across - half_across, across + half_across);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      go(event);
    });
    canvas.addEventListener("pointermove", go);
  }

  /** Take a view of the whole coil. */
  set(data) {
    this.#data = data;
    this.#paint();
  }

  /** What to ask the server for. */
  get query() {
    const { begin, end } = this.#map.coil;
    return { begin, end, width: Math.max(this.#canvas.clientWidth, 16), height: Math.max(this.#canvas.clientHeight, 16) };
  }

  #paint() {
    const { clientWidth: width, clientHeight: height } = this.#canvas, data = this.#data;
    if (!data || !width) return;
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#sheet = Object.assign(document.createElement("canvas"), { width, height });
    const context = this.#sheet.getContext("2d"), colour = colours();
    const per_px = width / (data.end - data.begin), lanes = this.#map.lanes;
    const lane_px = height / Math.max(lanes.length, 1);
    context.fillStyle = colour.panel;
    context.fillRect(0, 0, width, height);
    context.fillStyle = hatching(context, colour.invalid, 1);
    for (const [camera, begin, end] of data.spans) {
      const top = lanes.findIndex((lane) => lane.camera === camera) * lane_px;
      context.fillRect((begin - data.begin) * per_px, top, Math.max((end - begin) * per_px, 2), lane_px);
    }
    const ink = Array.from({ length: 8 }, (_, series) => colour[`s${series}`]);
    for (let row = 0; row < data.points; row++) {
      context.fillStyle = ink[this.#series.of(data.label[row])];
      context.fillRect(data.along[row] * per_px - 1, (data.lane[row] + data.across[row]) * lane_px - 1, 2, 2);
    }
    this.draw();
  }

  /** Draw the window where it is now. */
  draw() {
    this.#waiting ||= requestAnimationFrame(() => {
      this.#waiting = 0;
      this.#drawNow();
    });
  }

  #drawNow() {
    if (!this.#sheet) return;
    const context = this.#canvas.getContext("2d"), { width, height } = this.#canvas, { begin, end, top, bottom, coil } = this.#map;
    context.drawImage(this.#sheet, 0, 0);
    const per_px = width / (coil.end - coil.begin);
    const [left, right] = [(begin - coil.begin) * per_px, (end - coil.begin) * per_px];
    const colour = colours();
    context.globalAlpha = 0.6;
    context.fillStyle = colour.bg;
    context.fillRect(0, 0, left, height);
    context.fillRect(right, 0, width - right, height);
    context.fillRect(left, 0, right - left, top * height);
    context.fillRect(left, bottom * height, right - left, (1 - bottom) * height);
    context.globalAlpha = 1;
    context.strokeStyle = colour.accent;
    context.lineWidth = 2;
    context.strokeRect(left + 1, top * height + 1, Math.max(right - left - 2, 3), Math.max((bottom - top) * height - 2, 3));
  }
}
