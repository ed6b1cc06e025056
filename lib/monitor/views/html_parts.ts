/**
 * What the page is put together from: boxes, tables, and texts that cannot be markup. Pure.
 *
 * @module
 */

import { printable } from "../../text.ts";

/** A titled box; `body` is HTML already. */
export function section(title: string, body: string, className = ""): string {
  return `<section class="${className}"><h2>${text(title)}</h2>${body}</section>`;
}

/** Cells are HTML already. A heading that begins with `#` is of a column of numbers; nothing without rows. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const isNumber = headings.map((heading) => heading.startsWith("#"));
  const className = (index: number) => isNumber[index] ? "number" : "text";
  const head = headings.map((heading, index) =>
    `<th class="${className(index)}">${text(heading.replace("#", ""))}</th>`
  ).join("");
  const body = rows.map((cells) =>
    `<tr>${
      cells.map((cell, index) => `<td class="${className(index)}">${cell}</td>`).join("")
    }</tr>`
  ).join("");
  return `<table>${head === "" ? "" : `<tr>${head}</tr>`}${body}</table>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text for a page: control and bidirectional characters made visible, markup disarmed. */
export function text(value: string): string {
  return printable(value).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}
