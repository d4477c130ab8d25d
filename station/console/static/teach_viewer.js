// A region's picture with the frame around it, its box, and the box that somebody draws. All is in pixels of the frame.

const svg = "http://www.w3.org/2000/svg";
const close_part = 1.3;

/** Return an SVG element. */
export function shape(name, attributes = {}) {
  const made = document.createElementNS(svg, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function rectangle([x, y, width, height], kind) {
  return shape("rect", { x, y, width, height, class: kind });
}

function pictures(views) {
  return ["frame", "crop"].filter((name) => views[name]).map((name) => {
    const [x, y, width, height] = views[name].shown;
    return shape("image", { href: views[name].url, x, y, width, height, preserveAspectRatio: "none" });
  });
}

/** Shows one item; `changed` is called when a box was drawn with the mouse. */
export class Viewer {
  constructor(view, around, changed) {
    Object.assign(this, { view, around, changed, item: null, box: null, zoom: 0 });
    view.addEventListener("pointerdown", (event) => this.#begin(event));
  }

  show(item, drawn = []) {
    Object.assign(this, { item, others: drawn, box: null, zoom: 0 });
    this.draw();
  }

  clear() {
    this.item = null;
    this.view.replaceChildren();
    this.around.replaceChildren();
  }

  /** All there is of the picture, as x, y, width, height. */
  get whole() {
    return (this.item.views.frame ?? this.item.views.crop).shown;
  }

  turnZoom() {
    this.zoom = (this.zoom + 1) % 3;
    this.draw();
  }

  draw() {
    const { item, view, around } = this;
    view.setAttribute("viewBox", this.#window().join(" "));
    const boxes = [...(item.box ? [rectangle(item.box, "box")] : []), ...this.others.map((box) => rectangle(box, "box"))];
    if (this.box) boxes.push(rectangle(this.box, "drawn"));
    view.replaceChildren(...pictures(item.views), ...boxes);
    around.setAttribute("viewBox", this.whole.join(" "));
    around.replaceChildren(...pictures({ frame: item.views.frame ?? item.views.crop }), ...boxes.map((box) => box.cloneNode()));
  }

  /** Move the drawn box by `dx`, `dy` steps, or with `size` its right and lower side. */
  nudge(dx, dy, size) {
    const [left, top, width, height] = this.whole;
    const step = Math.max(1, Math.round(this.#window()[2] / 100));
    let [x, y, w, h] = this.box ?? this.start();
    if (size) [w, h] = [w + dx * step, h + dy * step];
    else [x, y] = [x + dx * step, y + dy * step];
    [w, h] = [Math.min(Math.max(w, 4), width), Math.min(Math.max(h, 4), height)];
    this.box = [Math.min(Math.max(x, left), left + width - w), Math.min(Math.max(y, top), top + height - h), w, h];
    this.draw();
  }

  /** The box that drawing begins with: the region's, or the middle of the picture. */
  start() {
    const [x, y, w, h] = this.whole;
    const thirds = [x + w / 3, y + h / 3, w / 3, h / 3].map(Math.round);
    return this.item.box ?? thirds;
  }

  #window() {
    const { item, zoom } = this;
    const near = (item.views.crop ?? item.views.frame).shown;
    if (!item.box || zoom === 1) return zoom === 1 ? this.whole : near;
    if (zoom === 0) return near;
    const [x, y, w, h] = item.box;
    const side = Math.max(w, h) * close_part;
    return [x + w / 2 - side / 2, y + h / 2 - side / 2, side, side];
  }

  #point(event) {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.view.getScreenCTM().inverse());
    const [x, y, w, h] = this.whole;
    return [Math.min(Math.max(place.x, x), x + w), Math.min(Math.max(place.y, y), y + h)];
  }

  #begin(event) {
    if (!this.item || event.button !== 0) return;
    const [fromX, fromY] = this.#point(event);
    const before = this.box;
    const move = (later) => {
      const [x, y] = this.#point(later);
      const sides = [Math.min(fromX, x), Math.min(fromY, y), Math.abs(x - fromX), Math.abs(y - fromY)].map(Math.round);
      this.box = sides[2] >= 4 && sides[3] >= 4 ? sides : before;
      this.draw();
    };
    const end = () => {
      this.view.removeEventListener("pointermove", move);
      if (this.box !== before) this.changed();
    };
    this.view.setPointerCapture(event.pointerId);
    this.view.addEventListener("pointermove", move);
    this.view.addEventListener("pointerup", end, { once: true });
    this.view.addEventListener("pointercancel", end, { once: true });
  }
}
