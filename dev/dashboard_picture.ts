/**
 * Draws the dashboard as SVG for the documentation, from the journal and log of a running tracker:
 *
 *     deno run --allow-read --allow-env dev/dashboard_picture.ts --logs logs --seconds 25 > docs/images/dashboard.svg
 *     deno run --allow-read --allow-env dev/dashboard_picture.ts --columns 80 --rows 24 --keys e
 */

import { createCommand, integerParser, logsOption, Option, runProgram } from "../lib/cli/cli.ts";
import { Follower } from "../lib/monitor/follow.ts";
import { type Controls, INITIAL_CONTROLS, pressed } from "../lib/monitor/screen/controls.ts";
import { frameLines } from "../lib/monitor/screen/frame.ts";
import { columnsOf, type Line, type Tone, toText } from "../lib/monitor/screen/parts/line.ts";
import { subjectsOf } from "../lib/monitor/screen/panes.ts";
import { printLine } from "../lib/terminal.ts";

interface PictureOptions {
  readonly logs: string;
  readonly columns: number;
  readonly rows: number;
  readonly keys: string;
  readonly seconds: number;
}

const CELL = { width: 8.4, height: 16.5 } as const;
const FONT_SIZE = 14;
const PADDING = 12;
const INTERVAL_MS = 500;
const BACKGROUND = "#10141c";
const COLORS: Readonly<Record<Tone, string>> = {
  plain: "#cdd6e0",
  dim: "#8a94a3",
  strong: "#ffffff",
  accent: "#5ac4cd",
  good: "#7ac878",
  warning: "#e6c35c",
  bad: "#ff7b72",
  selected: BACKGROUND,
};
const STYLE = "text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono'," +
  `monospace;font-size:${FONT_SIZE}px;white-space:pre}`;

async function main(args: string[]): Promise<number> {
  const { logs, columns, rows, keys, seconds } = createCommand({
    name: "dashboard_picture",
    description: "Draws the dashboard as SVG.",
  })
    .addOption(logsOption())
    .addOption(new Option("--columns <n>").default(120).argParser(integerParser({ min: 40 })))
    .addOption(new Option("--rows <n>").default(36).argParser(integerParser({ min: 12 })))
    .option("--keys <characters>", "keys to press before drawing", "")
    .addOption(
      new Option("--seconds <n>", "follow the tracker for this long before drawing")
        .default(0).argParser(integerParser({ min: 0 })),
    )
    .parse(args, { from: "user" }).opts<PictureOptions>();
  using follower = new Follower(logs);
  await follower.catchUp();
  // Charts of lag need several snapshots over time.
  for (let look = 0; look < seconds * 1000 / INTERVAL_MS; look++) {
    follower.snapshot();
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    await follower.catchUp();
  }
  const snapshot = follower.snapshot();
  const controls = Array.from(keys).reduce(
    (after: Controls, text) =>
      pressed(after, { name: "character", text }, subjectsOf(snapshot, after)),
    INITIAL_CONTROLS,
  );
  const lines = frameLines({
    ...{ snapshot, controls, columns, rows, folder: logs },
    ...{ newCount: 0, glyphs: "braille", intervalMs: INTERVAL_MS, notice: "" },
  });
  const name = controls.detail === undefined
    ? "The monitor's dashboard in a terminal"
    : "A record in full, in the monitor's dashboard";
  printLine(svgOf(lines, { columns, name }));
  return 0;
}

function svgOf(
  lines: readonly Line[],
  { columns, name }: { readonly columns: number; readonly name: string },
): string {
  const width = Math.ceil(columns * CELL.width + 2 * PADDING);
  const height = Math.ceil(lines.length * CELL.height + 2 * PADDING);
  const content = toText(lines[0] ?? []).trim();
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" xml:space="preserve">`,
    `<title>${escaped(name)}</title>`,
    `<desc>${escaped(content)}</desc>`,
    `<style>${STYLE}</style>`,
    `<rect width="${width}" height="${height}" rx="10" fill="${BACKGROUND}"/>`,
    ...lines.map(svgLine),
    "</svg>",
  ].join("\n");
}

/** Each span has its own position and width, so that fonts cannot move it. */
function svgLine(line: Line, row: number): string {
  const top = rounded(PADDING + row * CELL.height);
  let column = 0;
  return line.map(({ text, tone }) => {
    const x = rounded(PADDING + column * CELL.width);
    const width = rounded(columnsOf(text) * CELL.width);
    column += columnsOf(text);
    const back = tone === "selected"
      ? `<rect x="${x}" y="${top}" width="${width}" height="${CELL.height}" fill="${COLORS.plain}"/>`
      : "";
    if (text.trim() === "") return back;
    const weight = tone === "strong" || tone === "bad" ? ' font-weight="bold"' : "";
    return `${back}<text x="${x}" y="${rounded(top + 0.9 * FONT_SIZE)}" textLength="${width}"` +
      ` lengthAdjust="spacingAndGlyphs" fill="${COLORS[tone]}"${weight}>${escaped(text)}</text>`;
  }).join("");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

if (import.meta.main) await runProgram(main);
