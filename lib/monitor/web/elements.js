/*
 * Building blocks of the live page: texts, tables, and charts. Everything from a message is set as text.
 */

const CHART_HEIGHT = 100;
const SVG = "http://www.w3.org/2000/svg";
// As lib/text.ts: all that can hide text or turn it round.
const UNSAFE =
  // deno-lint-ignore no-control-regex -- control characters are what this pattern is for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

function visible(text) {
  return String(text).replace(
    UNSAFE,
    (character) => `\\u{${character.codePointAt(0).toString(16)}}`,
  );
}

export function withThousands(number) {
  return number.toLocaleString("en-US", { maximumFractionDigits: 2 });
}

export function orUnknown(value, format = withThousands) {
  return value === null || value === undefined ? "unknown" : format(value);
}

export function inBytes(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let index = 0;
  for (; count >= 1000 && index < units.length - 1; index++) count /= 1000;
  return `${count.toLocaleString("en-US", { maximumFractionDigits: index === 0 ? 0 : 1 })} ${
    units[index]
  }`;
}

export function timeOf(iso) {
  return iso === null || iso === undefined ? "unknown" : iso.replace("T", " ").replace("Z", "");
}

/** Sets only what changed, so that a selection or a screen reader is not disturbed. */
export function setText(element, text) {
  const shown = visible(text);
  if (element.textContent !== shown) element.textContent = shown;
}

export function create(name, className = "", text = "") {
  const element = document.createElement(name);
  if (className !== "") element.className = className;
  setText(element, text);
  return element;
}

/**
 * Brings a table in step with its rows. A row keeps its element as long as it is there, so that the keyboard's focus
 * stays on it. Column names as in the report: # numbers, = times, + long texts.
 */
export function showTable(table, columns, rows) {
  const classes = columns.map((name) =>
    ({ "#": "number", "=": "time", "+": "text wide" })[name[0]] ?? "text"
  );
  if (table.tHead === null) {
    const head = table.createTHead().insertRow();
    columns.forEach((name, index) => {
      const cell = create("th", classes[index], name.replace(/^[#=+]/, ""));
      cell.scope = "col";
      head.append(cell);
    });
    table.createTBody();
  }
  table.hidden = rows.length === 0;
  const body = table.tBodies[0];
  const byKey = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const wanted = new Set(rows.map(({ key }) => key));
  for (const [key, row] of byKey) if (!wanted.has(key)) row.remove();
  let next = body.firstElementChild;
  for (const { key, cells } of rows) {
    let row = byKey.get(key);
    if (row === undefined) {
      row = document.createElement("tr");
      row.dataset.key = key;
      cells.forEach((_, index) => row.append(create("td", classes[index])));
    }
    if (row === next) next = next.nextElementSibling;
    else body.insertBefore(row, next);
    cells.forEach((cell, index) => showCell(row.cells[index], cell));
  }
}

/** A cell is a text, or { text, className }, or { text, onPress }, which becomes a button. */
function showCell(element, cell) {
  if (typeof cell !== "object" || cell === null) return setText(element, cell ?? "");
  if (element.firstElementChild === null) {
    const child = create(cell.onPress === undefined ? "span" : "button");
    if (cell.onPress !== undefined) {
      child.type = "button";
      child.addEventListener("click", cell.onPress);
    }
    element.replaceChildren(child);
  }
  element.firstElementChild.className = cell.className ?? "";
  setText(element.firstElementChild, cell.text);
}

/** Bars from oldest to newest; null is not known, and has none. */
export function showChart(element, { name, values, color, from, to }) {
  const drawn = JSON.stringify([values, from, to]);
  if (element.dataset.drawn === drawn) return;
  element.dataset.drawn = drawn;
  const highest = Math.max(1, ...values.map((value) => value ?? 0));
  const magnitude = 10 ** Math.floor(Math.log10(highest));
  const max = [1, 2, 5, 10].map((step) => step * magnitude).find((step) => step >= highest);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${Math.max(1, values.length)} ${CHART_HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const last = values.at(-1);
  svg.setAttribute(
    "aria-label",
    `${name}: ${orUnknown(last)} at the end, ${withThousands(highest)} at most`,
  );
  for (const at of [0, CHART_HEIGHT / 2, CHART_HEIGHT]) {
    const line = document.createElementNS(SVG, "line");
    const ends = { x1: 0, x2: Math.max(1, values.length), y1: at, y2: at };
    for (const [key, value] of Object.entries(ends)) line.setAttribute(key, value);
    svg.append(line);
  }
  values.forEach((value, index) => {
    const bar = document.createElementNS(SVG, "rect");
    const height = CHART_HEIGHT * (value ?? 0) / max;
    const box = { x: index, y: CHART_HEIGHT - height, width: 1, height, fill: `var(--${color})` };
    for (const [key, each] of Object.entries(box)) bar.setAttribute(key, each);
    const note = document.createElementNS(SVG, "title");
    note.textContent = orUnknown(value);
    bar.append(note);
    svg.append(bar);
  });
  const scale = create("div", "scale");
  scale.append(...[max, max / 2, 0].map((value) => create("span", "", withThousands(value))));
  const ends = create("div", "ends");
  ends.append(create("span", "", from), create("span", "", to));
  const chart = create("div", "chart");
  chart.append(scale, svg, ends);
  element.replaceChildren(chart);
}
