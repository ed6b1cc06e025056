/**
 * A self-contained page: no script, and a content policy that allows no requests.
 */

import { CHART_STYLE } from "./chart.ts";
import { text } from "./parts.ts";

/** Also of the live page. */
export const STYLE = `
:root { color-scheme: light dark; --line: #8884; --dim: #777; --good: #2a7d3f; --bad: #c0322f;
  --warning: #8a6100; --accent: #2866b8; }
@media (prefers-color-scheme: dark) { :root { --good: #6cc283; --bad: #ff7b72; --warning: #e3b341;
  --accent: #79b0ff; --dim: #999; } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1340px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: 0 0 .5rem; }
main { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 33rem), 1fr)); }
section { border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; overflow-x: auto; }
section.wide { grid-column: 1 / -1; }
dl { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(8.2rem, 1fr)); margin: 1rem 0; }
dl div { border: 1px solid var(--line); border-radius: 8px; padding: .6rem .9rem; }
dt { color: var(--dim); } dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
dd.note { font-size: .85rem; color: var(--dim); }
.columns { display: grid; gap: .5rem 2.5rem; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); }
table + table { margin-top: .8rem; } ul { margin: .2rem 0 .8rem; padding-left: 1.2rem; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: normal; color: var(--dim); }
th, td { padding: .15rem .8rem .15rem 0; vertical-align: top; }
td.number, th.number { white-space: nowrap; text-align: right; font-variant-numeric: tabular-nums; }
td.text { overflow-wrap: break-word; } td.time { white-space: nowrap; }
td.wide { min-width: 14rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
.warning { color: var(--warning); }
p.lead { font-size: 1.15rem; }
@media (max-width: 600px) { body { margin: 1rem auto; padding: 0 .6rem; } section { padding: .6rem; }
  dl { gap: .5rem; grid-template-columns: 1fr 1fr; } }
footer { color: var(--dim); margin: 1rem 0; }
`;

/** Returns a whole HTML document; `body` is HTML already. */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(title)}</title>
<style>${STYLE}${CHART_STYLE}</style>
</head>
<body>
${body}
</body>
</html>`;
}
