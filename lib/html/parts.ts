/**
 * Building blocks of a page: boxes, figures, tables, and escaped texts. Pure.
 */

import { printable, withThousands } from "../text.ts";

/** Returns a titled box; `body` must be HTML. */
export function section(title: string, body: string, className = ""): string {
  return `<section class="${className}"><h2>${text(title)}</h2>${body}</section>`;
}

/**
 * Returns a table; nothing without rows. Cells must be HTML. A heading that begins with `#` marks a column of
 * numbers, `=` of times, and `+` of long texts.
 */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const classNames = headings.map((heading) => COLUMN_CLASSES[heading.slice(0, 1)] ?? "text");
  const head = headings.map((heading, index) =>
    `<th class="${classNames[index]}">${text(heading.replace(/^[#=+]/, ""))}</th>`
  ).join("");
  const body = rows.map((cells) =>
    `<tr>${
      cells.map((cell, index) => `<td class="${classNames[index]}">${cell}</td>`).join("")
    }</tr>`
  ).join("");
  return `<table>${head === "" ? "" : `<tr>${head}</tr>`}${body}</table>`;
}

const COLUMN_CLASSES: Readonly<Record<string, string>> = {
  "#": "number",
  "=": "time",
  "+": "text wide",
};

/** Returns figures in large type, each with its name, and a note where there is one. */
export function tiles(
  facts: readonly (readonly [name: string, value: string, note: string])[],
): string {
  return `<dl>${
    facts.map(([name, value, note]) =>
      `<div><dt>${text(name)}</dt><dd>${text(value)}</dd>` +
      `${note === "" ? "" : `<dd class="note">${text(note)}</dd>`}</div>`
    ).join("")
  }</dl>`;
}

export function countRow([name, count]: readonly [string, number]): readonly string[] {
  return [text(name), withThousands(count)];
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Escapes text for a page: makes control and bidirectional characters visible, and disables markup. */
export function text(value: string): string {
  return printable(value).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}
