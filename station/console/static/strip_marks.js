// How defects look: a colour and a shape a class, a size by area, hollow where the frame passed. Drawn once, then copied.

const series_count = 8;
const least_px = 3, most_px = 11, area_of_radius = 60, sizes = 10;
const corners = {
  1: [[-1, -1], [1, -1], [1, 1], [-1, 1]],
  2: [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]],
  3: [[0, -1.35], [1.35, 0], [0, 1.35], [-1.35, 0]],
  4: [[0, 1.2], [1.1, -0.9], [-1.1, -0.9]],
  5: [[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2], [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]],
  6: [[0, -1.3], [1.25, -0.35], [0.8, 1.1], [-0.8, 1.1], [-1.25, -0.35]],
  7: [[-1.3, -0.55], [1.3, -0.55], [1.3, 0.55], [-1.3, 0.55]],
};

/** Return the colours of the page now, by the name of their variable. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  return new Proxy({}, { get: (_, name) => style.getPropertyValue(`--${name}`).trim() });
}

/** Give each class its series, the most frequent first; all beyond the seventh share the last. */
export class Series {
  #numbers = new Map();

  /** Take classes that are new. */
  learn(labels) {
    for (const { id } of labels)
      if (!this.#numbers.has(id)) this.#numbers.set(id, Math.min(this.#numbers.size, series_count - 1));
  }

  of(label) {
    return this.#numbers.get(label) ?? series_count - 1;
  }
}

/** Return the radius of a defect of that area. */
export function radius(area_px) {
  return Math.min(Math.max(Math.sqrt(area_px / area_of_radius), least_px), most_px);
}

/** Trace the outline of a series around a point. */
export function trace(context, series, x, y, r) {
  context.beginPath();
  if (!corners[series]) {
    context.arc(x, y, r, 0, 2 * Math.PI);
    return;
  }
  for (const [dx, dy] of corners[series]) context.lineTo(x + dx * r * 0.9, y + dy * r * 0.9);
  context.closePath();
}

/** Pixels of every look, in the colours of now and for the screen's pixels. Set one by one: thousands in a few
 *  milliseconds, also where no GPU draws. */
export class Stamps {
  #stamps = new Map();

  constructor(scale) {
    this.scale = scale;
    this.colours = colours();
  }

  /** How far a stamp reaches from its middle, in the screen's pixels. */
  get reach() {
    return Math.ceil((most_px * 1.4 + 2) * this.scale);
  }

  /** Set the pixels of a defect with its middle at a point, in `pixels` of rows that are `stride` long. */
  set(pixels, stride, series, area_px, hollow, x, y) {
    const { side, at_x, at_y, colour } = this.of(series, area_px, hollow);
    const corner = (Math.round(y) - (side >> 1)) * stride + Math.round(x) - (side >> 1);
    for (let i = 0; i < colour.length; i++) {
      const place = corner + at_y[i] * stride + at_x[i];
      pixels[place] = pixels[place] === 0 || colour[i] >>> 24 > 200 ? colour[i] : over(colour[i], pixels[place]);
    }
  }

  /** Return the stamp of a look: the pixels that are not empty, and where they are. */
  of(series, area_px, hollow) {
    const size = Math.round(((radius(area_px) - least_px) / (most_px - least_px)) * (sizes - 1));
    const key = (series * sizes + size) * 2 + (hollow ? 1 : 0);
    let stamp = this.#stamps.get(key);
    if (!stamp) this.#stamps.set(key, (stamp = this.#make(series, least_px + (size / (sizes - 1)) * (most_px - least_px), hollow)));
    return stamp;
  }

  #make(series, r, hollow) {
    const canvas = document.createElement("canvas");
    const side = 2 * Math.ceil((r * 1.4 + 2) * this.scale);
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.scale(this.scale, this.scale);
    const middle = side / 2 / this.scale;
    trace(context, series, middle, middle, hollow ? r - 0.75 : r);
    context.fillStyle = context.strokeStyle = this.colours[`s${series}`];
    context.lineWidth = 1.5;
    if (hollow) context.stroke();
    else context.fill();
    const all = new Uint32Array(context.getImageData(0, 0, side, side).data.buffer);
    const filled = [...all.keys()].filter((at) => all[at] >>> 24 > 16);
    const column = (value) => Int32Array.from(filled, value);
    return { canvas, side, at_x: column((at) => at % side), at_y: column((at) => Math.floor(at / side)), colour: Uint32Array.from(filled, (at) => all[at]) };
  }
}

/** Return a pixel over one that is taken to be opaque. */
function over(above, below) {
  const a = above >>> 24, b = 255 - a;
  const red = ((above & 255) * a + (below & 255) * b) / 255;
  const green = (((above >>> 8) & 255) * a + ((below >>> 8) & 255) * b) / 255;
  const blue = (((above >>> 16) & 255) * a + ((below >>> 16) & 255) * b) / 255;
  return ((Math.max(a, below >>> 24) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
