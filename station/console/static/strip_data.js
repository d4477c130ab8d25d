// What the server has of a coil: views as columns, figures, and what the filters ask for.

const arrays = { f8: Float64Array, f4: Float32Array, u4: Uint32Array, u2: Uint16Array, u1: Uint8Array };

/** Return the JSON at `url`. Throws an Error with the one line that the console says. */
export async function get(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error ?? `${answer.status}`);
  return told;
}

/** Return a view: its header, and its columns as typed arrays over the bytes that came. */
export async function view(coil, query) {
  const answer = await fetch(`/strip/coils/${coil}/view?${query}`, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? `${answer.status}`);
  return decode(await answer.arrayBuffer());
}

function decode(bytes) {
  const length = new DataView(bytes).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  let at = 4 + length;
  for (const [name, kind] of header.columns) {
    const column = new arrays[kind](bytes, at, header.points);
    header[name] = column;
    at += Math.ceil(column.byteLength / 8) * 8;
  }
  return header;
}

/** Return what the filters' form asks for as a query; what is all on is left out. */
export function wanted(form) {
  const query = new URLSearchParams();
  for (const name of ["labels", "verdicts", "cameras"]) {
    const boxes = [...form.querySelectorAll(`input[name="${name}"]`)];
    const chosen = boxes.filter((box) => box.checked);
    if (chosen.length === boxes.length) continue;
    if (!chosen.length) query.append("labels", "0"); // which no class has
    for (const { value } of chosen) query.append(name, value);
  }
  for (const name of ["least_px", "most_px"]) if (form.elements[name].value) query.set(name, form.elements[name].value);
  return query;
}

const language = document.documentElement.lang;
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });

/** Return a number as people write it, with so many digits behind the point. */
export function number(value, digits = 0) {
  return digits ? value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }) : whole.format(value);
}

/** Return a place along a coil: metres, or the minutes and seconds of an hour. `step` is how finely it is asked for. */
export function place(value, unit, step = 1) {
  if (unit === "mm") return `${number(value / 1000, step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3)} m`;
  const total_s = Math.floor(value / 1000 + 1e-6);
  const text = `${String(Math.floor(total_s / 60)).padStart(2, "0")}:${String(total_s % 60).padStart(2, "0")}`;
  return step >= 1000 ? text : `${text}.${String(Math.floor(value % 1000)).padStart(3, "0")}`;
}
