/**
 * The characters that a terminal can draw.
 */

export type GlyphName = "braille" | "block" | "ascii";

export interface Glyphs {
  readonly corners: readonly [
    topLeft: string,
    topRight: string,
    bottomLeft: string,
    bottomRight: string,
  ];
  readonly horizontal: string;
  readonly vertical: string;
  readonly axis: string;
  readonly mark: string;
  readonly pointer: string;
  /** Marks a trouble on a time axis. */
  readonly trouble: string;
}

export const GLYPHS: Readonly<Record<GlyphName, Glyphs>> = {
  braille: {
    corners: ["╭", "╮", "╰", "╯"],
    horizontal: "─",
    vertical: "│",
    axis: "┤",
    mark: "●",
    pointer: "›",
    trouble: "━",
  },
  block: {
    corners: ["┌", "┐", "└", "┘"],
    horizontal: "─",
    vertical: "│",
    axis: "┤",
    mark: "■",
    pointer: ">",
    trouble: "▀",
  },
  ascii: {
    corners: ["+", "+", "+", "+"],
    horizontal: "-",
    vertical: "|",
    axis: "|",
    mark: "*",
    pointer: ">",
    trouble: "!",
  },
};

/** Returns the glyphs for a terminal: Linux's console has blocks but no braille, and both need UTF-8. */
export function glyphsOf(
  env: { readonly [name in "TERM" | "LC_ALL" | "LC_CTYPE" | "LANG"]?: string | undefined },
): GlyphName {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || "";
  if (!/utf-?8/i.test(locale)) return "ascii";
  return env.TERM === "linux" ? "block" : "braille";
}
