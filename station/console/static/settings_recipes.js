// The recipes as the station has them, asked every second while the page is seen; selecting and preparing one.
import { send, t } from "/static/base.js";

const rows = document.getElementById("recipes");
const told = document.getElementById("told");
const work = document.getElementById("work");
const period_ms = 1000;
let shown = "";

function tell(words) {
  told.textContent = words;
  told.hidden = !words;
}

function cell(content, className = "") {
  const made = Object.assign(document.createElement("td"), { className });
  made.append(content);
  return made;
}

function button(action, name, disabled) {
  const made = Object.assign(document.createElement("button"), { type: "button", disabled });
  made.append(t(`settings.${action}`), Object.assign(document.createElement("span"), { className: "hidden", textContent: ` ${name}` }));
  made.dataset.action = action;
  made.dataset.recipe = name;
  made.addEventListener("click", () => ask(action, name));
  return made;
}

function row({ name, number, state, detail, model, description }) {
  const made = document.createElement("tr");
  const head = Object.assign(document.createElement("th"), { scope: "row", textContent: name });
  const acts = document.createElement("div");
  acts.className = "row";
  acts.append(
    button("select", name, state === "active"),
    button("prepare", name, ["active", "prepared", "preparing"].includes(state)),
  );
  const words = detail ? `${t(`settings.state_${state}`)}: ${detail}` : t(`settings.state_${state}`);
  made.dataset.state = state;
  made.append(head, cell(number ?? "", "number"), cell(words, "state"), cell(model.split("/").at(-1)), cell(name === "default" ? t("settings.plain") : description), cell(acts));
  return made;
}

function show(status) {
  const key = JSON.stringify(status.recipes);
  if (key !== shown) rows.replaceChildren(...status.recipes.map(row));
  shown = key;
  work.textContent = status.stage === "idle" ? status.report : `${status.stage} ${Math.round(status.part * 100)} % ${status.detail}`;
}

async function ask(action, recipe) {
  try {
    show(await send(`/settings/recipes/${action}`, { recipe }));
    tell("");
  } catch (fault) {
    tell(fault.message);
  }
}

async function look() {
  if (!document.hidden)
    try {
      show(await send("/settings/recipes/state", undefined, "GET"));
      tell("");
    } catch (fault) {
      tell(fault.message);
    }
  setTimeout(look, period_ms);
}

look();
