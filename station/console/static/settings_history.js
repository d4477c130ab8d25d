// The versions of config.toml: what putting one back would change, and putting it back.
import { send } from "/static/base.js";
import { review } from "/static/settings_review.js";

const base = document.getElementById("history").dataset.base;
const told = document.getElementById("applied");

for (const button of document.querySelectorAll("[data-version]"))
  button.addEventListener("click", async () => {
    const version = Number(button.dataset.version);
    try {
      review(await send(`/settings/history/${version}`, undefined, "GET"), "/settings/undo", { version, base });
    } catch (fault) {
      told.textContent = fault.message;
    }
  });
document.documentElement.dataset.settings = "ready";
