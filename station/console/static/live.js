// The live page: follows the line's updates, and lets everything on it grow old by itself when none come.
import { follow } from "/static/base.js";
import { Card } from "/static/live_card.js";
import { showPanel } from "/static/live_panel.js";
import { Ticker } from "/static/live_ticker.js";

const tick_ms = 100;
const patience_ms = 6000; // updates come twice a second

const cards = new Map();
for (const element of document.querySelectorAll(".live-camera")) cards.set(element.dataset.camera, new Card(element));
const ticker = new Ticker();
let source = null;
let heard_ms = 0;

function take(line) {
  heard_ms = performance.now();
  for (const camera of line.cameras) cards.get(camera.name)?.take(camera, line.online);
  showPanel(line);
  ticker.show(line.ticker);
}

/** A page that nobody sees asks for nothing. */
function listen() {
  heard_ms = performance.now();
  source?.close();
  source = document.hidden ? null : follow("/live/updates", { line: take });
}

/** Grow old; and listen anew where a connection has died and nobody said so, or the browser has given up. */
function tick() {
  cards.forEach((card) => card.age());
  if (source && performance.now() - heard_ms > patience_ms) listen();
}

document.addEventListener("visibilitychange", listen);
setInterval(tick, tick_ms);
listen();
