// What another page wants to have changed in the settings: fields by their ids. It waits in this tab alone.
const key = "settings.proposal";

/** Go to the settings, where `fields` are filled in and the difference is shown. */
export function propose(fields) {
  sessionStorage.setItem(key, JSON.stringify(fields));
  location.href = "/settings";
}

/** Return what was proposed, once. */
export function proposed() {
  const fields = JSON.parse(sessionStorage.getItem(key) ?? "{}");
  sessionStorage.removeItem(key);
  return Object.entries(fields);
}
