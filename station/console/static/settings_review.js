// The dialog that shows what a text would change, and applies it: of the tables and of the history.
import { send, t } from "/static/base.js";

const dialog = document.getElementById("reviewed");
const told = document.getElementById("applied");
const button = document.getElementById("apply");
const classes = { "+": "plus", "-": "minus", "@": "at" };
let url = "";
let asked = {};

/** Show a `Checked` answer; `apply` is where to send `body` when it is to be applied. */
export function review(checked, apply, body) {
  url = apply;
  asked = body;
  const lines = checked.diff.length ? checked.diff : [` ${t("settings.nothing")}`];
  document.getElementById("diff").replaceChildren(
    ...lines.map((line) => Object.assign(document.createElement("div"), { textContent: line, className: classes[line[0]] ?? "" })),
  );
  document.getElementById("when").textContent = whenText(checked);
  told.textContent = "";
  button.hidden = !checked.diff.length || checked.faults.length > 0;
  dialog.showModal();
}

function whenText({ faults, diff, restart }) {
  if (faults.length) return faults.map(({ where, words }) => `${where} ${words}`).join("; ");
  if (!diff.length) return "";
  return restart ? `${restart.split(": ")[0]}: ${t("settings.at_restart")}` : t("settings.at_once");
}

button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    const { outcome, words } = await send(url, asked);
    told.textContent = [t(`settings.outcome_${outcome}`), outcome === "restart" ? "" : words].filter(Boolean).join(". ");
    button.hidden = true;
    dialog.dataset.outcome = outcome;
  } catch (fault) {
    told.textContent = fault.message;
  }
  button.disabled = false;
});
document.getElementById("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  if (dialog.dataset.outcome && dialog.dataset.outcome !== "refused") location.reload();
});
