/**
 * Formats JSON for the screen: indented, colored, with marked fields. Pure.
 */

import { printable, withThousands } from "../../../text.ts";
import { isJsonObject } from "../../../json.ts";
import { type Line, type Span, span, type Tone, widthOf } from "./line.ts";

/** A field to highlight, with a comment. */
export interface FieldMark {
  /** In jq notation without the leading dot: `items[0].quantity`. */
  readonly path: string;
  readonly note: string;
}

/** Deeper values are written on one line. */
const DEPTH_MAX = 32;
const LINES_MAX = 5_000;
const INDENT = "  ";

/**
 * Returns lines that are safe to print. Values without nesting or marks are packed. A marked field that is missing is
 * shown at the beginning of its object.
 */
export function jsonLines(
  value: unknown,
  { width, marks = [] }: { readonly width: number; readonly marks?: readonly FieldMark[] },
): readonly Line[] {
  const writer = new Writer(width, marks);
  writer.write(value, { path: "", depth: 0, start: [], end: "" });
  return writer.lines;
}

interface Place {
  readonly path: string;
  readonly depth: number;
  /** Text before the value on the same line: its key. */
  readonly start: Line;
  /** Text after the value: a comma. */
  readonly end: string;
}

class Writer {
  readonly #width: number;
  readonly #marks: readonly FieldMark[];
  readonly #lines: Line[] = [];
  #cutCount = 0;

  constructor(width: number, marks: readonly FieldMark[]) {
    this.#width = width;
    this.#marks = marks;
  }

  get lines(): readonly Line[] {
    if (this.#cutCount === 0) return this.#lines;
    return [...this.#lines, [span(`… ${withThousands(this.#cutCount)} more lines`, "dim")]];
  }

  write(value: unknown, place: Place): void {
    const isArray = Array.isArray(value);
    if (place.depth >= DEPTH_MAX || !(isArray || isJsonObject(value))) {
      this.#add([scalar(value), span(place.end, "dim")], place);
      return;
    }
    if (place.depth > 0 && this.#isFlat(value, place.path)) {
      this.#pack(value, place);
      return;
    }
    const children = isArray
      ? value.map((each, index) => ({ name: "", path: `${place.path}[${index}]`, value: each }))
      : Object.entries(value).map(([name, each]) => ({
        name,
        path: place.path === "" ? name : `${place.path}.${name}`,
        value: each,
      }));
    const missing = this.#marks.filter(({ path }) =>
      parentOf(path) === place.path && path !== place.path &&
      !children.some((child) => child.path === path)
    );
    const [open, close] = isArray ? ["[", "]"] : ["{", "}"];
    this.#add([span(open, "dim")], place);
    for (const { path } of missing) {
      const name = path.slice(place.path === "" ? 0 : place.path.length + 1);
      this.#add([span("missing", "bad")], {
        path,
        depth: place.depth + 1,
        start: [span(quoted(name), "accent"), span(": ", "dim")],
        end: "",
      });
    }
    for (const [index, child] of children.entries()) {
      this.write(child.value, {
        path: child.path,
        depth: place.depth + 1,
        start: isArray ? [] : [span(quoted(child.name), "accent"), span(": ", "dim")],
        end: index === children.length - 1 ? "" : ",",
      });
    }
    this.#add([span(`${close}${place.end}`, "dim")], { ...place, path: NO_PATH, start: [] });
  }

  /** Returns true if it contains nothing nested or marked. */
  #isFlat(value: object, path: string): boolean {
    return Object.values(value).every((each) => typeof each !== "object" || each === null) &&
      !this.#marks.some((mark) => isWithin(mark.path, path));
  }

  #pack(value: object, place: Place): void {
    const isArray = Array.isArray(value);
    const parts = Object.entries(value).map(([name, each]): Line => [
      ...(isArray ? [] : [span(quoted(name), "accent"), span(": ", "dim")]),
      scalar(each),
    ]);
    const [open, close] = isArray ? ["[", "]"] : ["{ ", " }"];
    let line: Line = [span(parts.length === 0 ? open.trimEnd() : open, "dim")];
    let isFirst = true;
    const flush = () => {
      this.#add(line, isFirst ? place : { ...place, path: NO_PATH, start: [span(INDENT)] });
      isFirst = false;
    };
    const used = () => INDENT.length * (place.depth + 1) + widthOf(line);
    for (const [index, part] of parts.entries()) {
      const isLast = index === parts.length - 1;
      const end = isLast ? `${close}${place.end}` : ",";
      const start = isFirst ? widthOf(place.start) : 0;
      if (index > 0 && start + used() + widthOf(part) + end.length + 1 > this.#width) {
        flush();
        line = [];
      }
      const space = line.length > (isFirst ? 1 : 0) ? " " : "";
      line = [...line, span(space), ...part, span(isLast ? "" : ",", "dim")];
    }
    line = [
      ...line,
      span(parts.length === 0 ? close.trimStart() : close, "dim"),
      span(place.end, "dim"),
    ];
    flush();
  }

  #add(texts: Line, { path, depth, start }: Place): void {
    if (this.#lines.length >= LINES_MAX) {
      this.#cutCount++;
      return;
    }
    const marks = this.#marks.filter((mark) => mark.path === path);
    const line = [...start, ...texts];
    this.#lines.push([
      span(INDENT.repeat(depth)),
      ...(marks.length === 0 ? line : line.map(({ text }): Span => span(text, "bad"))),
      ...marks.map(({ note }) => span(`  <-- ${printable(note)}`, "bad")),
    ]);
  }
}

/** Not the path of any field. */
const NO_PATH = "\n";

/** Returns the path of the parent: `items[0].quantity` is in `items[0]`, which is in `items`. */
function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("."), path.lastIndexOf("["), 0));
}

function isWithin(path: string, parent: string): boolean {
  return path.startsWith(parent) && /^[.[]/.test(path.slice(parent.length));
}

function scalar(value: unknown): Span {
  return span(printable(jsonText(value)), toneOf(value));
}

function toneOf(value: unknown): Tone {
  switch (typeof value) {
    case "string":
      return "good";
    case "number":
      return "warning";
    default:
      return "strong";
  }
}

function quoted(text: string): string {
  return printable(JSON.stringify(text));
}

function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch {
    // Nested too deeply for the stack.
    return "…";
  }
}
