// The tables of config.toml as forms, and its text: what is changed in either is checked, compared and applied.
import { keys, send, t } from "/static/base.js";
import { proposed } from "/static/settings_proposal.js";
import { review } from "/static/settings_review.js";

const base = document.getElementById("settings").dataset.base;
const text = document.getElementById("text");
const forms = document.getElementById("forms");
const raw = document.getElementById("raw");
const asText = document.getElementById("as-text");
const find = document.getElementById("find");
const onlyChanged = document.getElementById("only-changed");
const faults = document.getElementById("faults");
const fields = [...document.querySelectorAll("[data-field]")];
const before = new Map(fields.map((field) => [field.id, field.value]));

function edited() {
  return Object.fromEntries(fields.filter((field) => field.value !== before.get(field.id)).map(({ id, value }) => [id, value]));
}

function tell(found) {
  for (const place of document.querySelectorAll("[data-fault]")) place.hidden = true;
  const others = [];
  for (const { where, words, line } of found) {
    const place = where && [...document.querySelectorAll("[data-fault]")].find((one) => one.dataset.fault === where);
    if (place && raw.hidden) {
      place.textContent = words;
      place.hidden = false;
      place.closest("details").open = true;
    } else others.push([where, words, line]);
  }
  faults.replaceChildren(
    ...others.map(([where, words]) => Object.assign(document.createElement("li"), { className: "fault", textContent: `${where} ${words}` })),
  );
  if (others.length && others[0][2]) toLine(others[0][2]);
}

function toLine(number) {
  const lines = text.value.split("\n");
  const start = lines.slice(0, number - 1).join("\n").length + (number > 1 ? 1 : 0);
  text.focus();
  text.setSelectionRange(start, start + (lines[number - 1] ?? "").length);
}

async function ask(url, body) {
  try {
    const checked = await send(url, body);
    tell(checked.faults);
    if (!checked.faults.length) review(checked, "/settings/apply", { text: checked.text, base });
  } catch (fault) {
    tell([{ where: "", words: fault.message }]);
  }
}

function reviewAll() {
  if (raw.hidden) ask("/settings/change", { text: text.value, fields: edited() });
  else ask("/settings/check", { text: text.value });
}

function filter() {
  const wanted = find.value.trim().toLowerCase();
  for (const field of document.querySelectorAll(".field"))
    field.hidden =
      (wanted && !field.dataset.words.toLowerCase().includes(wanted)) ||
      (onlyChanged.checked && !field.matches(".changed, .edited"));
  for (const table of document.querySelectorAll(".table")) {
    const named = wanted && table.dataset.words.toLowerCase().includes(wanted);
    table.hidden = (wanted || onlyChanged.checked) && !named && !table.querySelector(".field:not([hidden])");
    if (wanted && !table.hidden) table.open = true;
  }
}

async function showText() {
  const wanted = raw.hidden;
  if (wanted && Object.keys(edited()).length) {
    const checked = await send("/settings/change", { text: text.value, fields: edited() }).catch(() => null);
    if (!checked || checked.faults.length) return tell(checked?.faults ?? []);
    text.value = checked.text;
    for (const field of fields) before.set(field.id, field.value);
  }
  raw.hidden = !wanted;
  forms.hidden = wanted;
  asText.setAttribute("aria-pressed", String(wanted));
}

for (const field of fields)
  field.addEventListener("input", () => field.closest(".field").classList.toggle("edited", field.value !== before.get(field.id)));
for (const form of document.querySelectorAll("form[data-add]"))
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { where, add } = form.dataset;
    ask("/settings/add", { text: text.value, where, key: add, name: new FormData(form).get("name") });
  });
find.addEventListener("input", filter);
onlyChanged.addEventListener("change", filter);
asText.addEventListener("click", showText);
document.getElementById("review").addEventListener("click", reviewAll);
keys({ "/": [t("settings.find"), () => find.focus()], r: [t("settings.review"), reviewAll] });
const changes = proposed().filter(([id]) => before.has(id));
for (const [id, value] of changes) {
  document.getElementById(id).value = value;
  document.getElementById(id).dispatchEvent(new Event("input"));
}
if (changes.length) reviewAll();
document.documentElement.dataset.settings = "ready";
