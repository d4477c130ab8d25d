// "Try a picture": pictures are sent one after the other, judged, and shown; nothing stays when the page is left.
import { keys, send, t } from "/static/base.js";
import { showTried } from "/static/try_result.js";

const most = 20;
const form = document.getElementById("try");
const drop = document.getElementById("drop");
const input = document.getElementById("pictures");
const results = document.getElementById("results");
const told = document.getElementById("told");
let turn = Promise.resolve();

function tell(words) {
  told.textContent = words;
  told.hidden = !words;
}

function chosen() {
  return [document.getElementById("choice").value, document.getElementById("other").value].filter(Boolean);
}

function packed(picture, camera, choices) {
  const body = new FormData();
  body.append("picture", picture, picture.name);
  body.append("camera", camera);
  for (const choice of choices) body.append("choice", choice);
  return body;
}

async function judge(place, picture, camera, choices) {
  try {
    const { name, replies } = await send("/try/judge", packed(picture, camera, choices));
    const review = () => send("/try/review", packed(picture, camera, choices.slice(0, 1)));
    await showTried(place, name, replies, review);
    place.dataset.state = "judged";
  } catch (fault) {
    const words = t("try.refused", { name: picture.name, words: fault.message });
    place.replaceChildren(Object.assign(document.createElement("p"), { className: "fault", textContent: words }));
    place.dataset.state = "refused";
  }
}

function add(picture, camera = "") {
  const place = Object.assign(document.createElement("section"), { className: "card tried" });
  place.append(Object.assign(document.createElement("p"), { textContent: `${picture.name} ${t("try.waiting")}` }));
  place.dataset.state = "waiting";
  results.prepend(place);
  const choices = chosen();
  turn = turn.then(() => judge(place, picture, camera, choices));
}

function take(files) {
  const pictures = [...files];
  tell(pictures.length > most ? t("try.too_many", { most }) : "");
  for (const picture of pictures.slice(0, most)) add(picture);
}

async function snapshot(source) {
  const camera = document.getElementById("camera").value;
  tell("");
  try {
    const taken = await send(`/try/snapshot?${new URLSearchParams({ camera, source })}`);
    const bytes = Uint8Array.from(atob(taken.picture), (letter) => letter.charCodeAt(0));
    add(new File([bytes], taken.name), taken.camera);
  } catch (fault) {
    tell(fault.message);
  }
}

input.addEventListener("change", () => {
  take(input.files);
  input.value = "";
});
form.addEventListener("submit", (event) => event.preventDefault());
for (const name of ["dragenter", "dragover"])
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files);
});
for (const button of document.querySelectorAll("[data-source]"))
  button.addEventListener("click", () => snapshot(button.dataset.source));
keys({ o: [t("try.choose_key"), () => input.click()] });
document.documentElement.dataset.try = "ready";
