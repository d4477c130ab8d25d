// One judged picture: the picture with its regions, each region with what the network says of it, verdict and times.
import { t } from "/static/base.js";

const known = new Set(["accept", "reject", "invalid", "unknown"]);

function make(name, words = "", className = "") {
  return Object.assign(document.createElement(name), { textContent: words, className });
}

function short(value) {
  return Number(value).toFixed(2);
}

async function imageOf(base64, type) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type }));
}

function verdictOf(reply) {
  const made = make("p", t(`base.${reply.verdict}`), "verdict far");
  made.dataset.verdict = reply.verdict;
  return made;
}


async function pictureOf(name, reply) {
  const image = await imageOf(reply.shown, "image/jpeg");
  const scale = Math.max(1, Math.ceil(600 / image.width));
  const canvas = make("canvas");
  [canvas.width, canvas.height] = [image.width * scale, image.height * scale];
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", t("try.picture", { name, width: reply.width_px, height: reply.height_px, found: reply.found }));
  const ink = canvas.getContext("2d");
  ink.drawImage(image, 0, 0, canvas.width, canvas.height);
  const px = canvas.width / reply.width_px;
  const size = Math.max(14, canvas.width / 50);
  ink.lineWidth = Math.max(2, canvas.width / 500);
  ink.font = `700 ${size}px sans-serif`;
  ink.textBaseline = "top";
  reply.regions.forEach(({ box_px, rule }, number) => {
    const [x, y, w, h] = box_px.map((value) => value * px);
    const left = Math.min(x, canvas.width - 2 * size);
    const top = y > 1.3 * size ? y - 1.3 * size : y + h + 4;
    ink.strokeStyle = ink.fillStyle = rule.counts ? "#b3261e" : "#116b36";
    ink.strokeRect(x - 2, y - 2, w + 4, h + 4);
    ink.fillRect(left - 2, top, (0.7 + 0.6 * String(number + 1).length) * size, 1.2 * size);
    ink.fillStyle = "#ffffff";
    ink.fillText(String(number + 1), left + 0.25 * size, top + 0.15 * size);
  });
  return canvas;
}

function barsOf(probabilities) {
  const list = make("dl", "", "bars");
  for (const [label, value] of Object.entries(probabilities).sort((one, other) => other[1] - one[1])) {
    const bar = make("dd", "", "bar-of");
    const filled = make("span");
    filled.style.width = `${100 * value}%`;
    bar.append(filled);
    bar.setAttribute("aria-hidden", "true");
    list.append(make("dt", label), bar, make("dd", short(value), "value"));
  }
  return list;
}

async function cropOf(region, number, reply) {
  const image = await imageOf(region.crop, "image/png");
  const canvas = make("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", t("try.crop", { number }));
  const ink = canvas.getContext("2d");
  const draw = (covered) => {
    ink.drawImage(image, 0, 0);
    const [rows, columns] = [region.saliency.length, region.saliency[0]?.length ?? 0];
    for (let row = 0; covered && row < rows; row++)
      for (let column = 0; column < columns; column++) {
        ink.fillStyle = `rgb(255 120 0 / ${0.65 * region.saliency[row][column]})`;
        ink.fillRect((column * image.width) / columns, (row * image.height) / rows, image.width / columns, image.height / rows);
      }
  };
  draw(false);
  const box = make("div");
  box.append(canvas);
  if (region.saliency.length) {
    const button = make("button", t("try.saliency"));
    button.type = "button";
    button.title = t(`try.by_${reply.saliency_by}`);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(pressed));
      draw(pressed);
    });
    box.append(button);
  }
  return box;
}

function ruleOf({ rule }) {
  if (rule.action === "accept") return t("try.passes");
  if (rule.counts) return t("try.counts", { count: rule.min_count });
  return t("try.counts_not", { action: t("base.reject"), confidence: rule.min_confidence, area: rule.min_area_px });
}

function wordsOf(region, reply) {
  const words = [t("try.confidence", { value: short(region.confidence) }), t("try.area", { value: region.area_px })];
  if (region.novelty !== null)
    words.push(
      reply.novelty_limit === null
        ? t("try.novelty", { value: short(region.novelty) })
        : t("try.novelty_of", { value: short(region.novelty), limit: short(reply.novelty_limit) }),
    );
  if (region.unknown_by) words.push(t(`try.by_${region.unknown_by}`, { floor: region.floor }));
  if (region.found_by !== "shadow") words.push(t("try.found_by", { finder: region.found_by }));
  words.push(ruleOf(region));
  return words.join(" · ");
}

async function regionOf(region, number, reply) {
  const made = make("section", "", "region");
  const head = make("h4");
  head.append(make("span", String(number), "number"), " ", known.has(region.label) ? t(`base.${region.label}`) : region.label);
  const right = make("div");
  right.append(head, make("p", wordsOf(region, reply), "hint"));
  if (region.probabilities) right.append(barsOf(region.probabilities));
  made.append(region.crop ? await cropOf(region, number, reply) : make("span"), right);
  return made;
}

function timingsOf(reply) {
  const table = make("table", "", "timings");
  table.append(make("caption", t("try.timings")));
  const [head, row] = [make("tr"), make("tr")];
  for (const [stage, ms] of Object.entries(reply.timings_ms)) {
    const title = make("th", t(`try.stage_${stage}`), "number");
    title.scope = "col";
    head.append(title);
    row.append(make("td", `${ms.toFixed(1)} ms`, "number"));
  }
  table.append(head, row);
  return table;
}

async function replyOf(name, reply) {
  const made = make("article", "", "reply");
  made.append(make("h3", reply.choice === "default" ? t("try.live_model") : reply.choice));
  if (reply.reply === "sorry") {
    made.append(make("p", reply.error, "fault"));
    return made;
  }
  made.append(verdictOf(reply), make("p", [reply.model, reply.reason, reply.detail].filter(Boolean).join(" · "), "hint"));
  made.append(await pictureOf(name, reply));
  const shown = reply.regions.length;
  const count = shown < reply.found ? "try.regions_some" : reply.found ? "try.regions" : "try.no_regions";
  made.append(make("p", t(count, { found: reply.found, shown })));
  for (const [number, region] of reply.regions.entries()) made.append(await regionOf(region, number + 1, reply));
  made.append(make("p", t("try.whole")), barsOf(reply.whole), timingsOf(reply));
  return made;
}

function reviewOf(review) {
  const button = make("button", t("try.review"));
  button.type = "button";
  const told = make("span", "", "hint");
  told.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      told.textContent = t("try.sent", await review());
    } catch (fault) {
      told.textContent = fault.message;
      button.disabled = false;
    }
  });
  const row = make("div", "", "row");
  row.append(told, button);
  return row;
}

/** Show the replies to the picture `name` in `place`; `review()` sends it to review and returns its number. */
export async function showTried(place, name, replies, review) {
  const head = make("header");
  head.append(make("h2", name));
  const judged = replies.filter(({ reply }) => reply === "judged");
  if (judged.length === 2)
    head.append(make("strong", t(judged[0].verdict === judged[1].verdict ? "try.same" : "try.different")));
  if (replies[0].reply === "judged") head.append(reviewOf(review));
  const list = make("div", "", "replies");
  list.append(...(await Promise.all(replies.map((reply) => replyOf(name, reply)))));
  place.replaceChildren(head, list);
}
