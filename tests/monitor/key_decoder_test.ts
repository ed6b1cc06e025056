import assert from "node:assert/strict";
import type { Key } from "../../lib/monitor/screen/controls.ts";
import { KeyDecoder } from "../../lib/monitor/screen/key_decoder.ts";

const ENCODER = new TextEncoder();
const ESC = "\x1b";

/** Decodes an input and returns the key names, or the character itself. Flushes pending input at the end. */
function keysOf(...pieces: readonly (string | Uint8Array)[]): readonly string[] {
  const decoder = new KeyDecoder();
  const keys: Key[] = [];
  for (const piece of pieces) {
    keys.push(...decoder.push(typeof piece === "string" ? ENCODER.encode(piece) : piece));
  }
  if (decoder.waitMs !== undefined) keys.push(...decoder.flush());
  assert.equal(decoder.waitMs, undefined);
  return keys.map((key) =>
    key.name === "character" ? key.text : key.name === "paste" ? `paste:${key.text}` : key.name
  );
}

function bytesOf(text: string): readonly Uint8Array[] {
  return Array.from(ENCODER.encode(text), (byte) => Uint8Array.of(byte));
}

const INPUTS: readonly (readonly [input: string, keys: readonly string[]])[] = [
  [`${ESC}[A${ESC}[B`, ["up", "down"]],
  [`${ESC}OA${ESC}OB`, ["up", "down"]],
  [`${ESC}[1;5A${ESC}[1;2B`, ["up", "down"]],
  [`${ESC}[5~${ESC}[6~${ESC}[3~`, ["pageup", "pagedown", "backspace"]],
  [`\t${ESC}[Z`, ["tab", "backtab"]],
  ["\r\n\x7f\b\x03", ["enter", "enter", "backspace", "backspace", "interrupt"]],
  ["/Zoë 漢🙂", ["/", "Z", "o", "ë", " ", "漢", "🙂"]],
  [`a${ESC}[200~q${ESC}[A\r${ESC}[20${ESC}[201~b`, ["a", `paste:q${ESC}[A\r${ESC}[20`, "b"]],
  // Sequences without a function here: function keys (also Linux console's), mouse, focus, and Alt with a key.
  [`${ESC}OP${ESC}[15~${ESC}[[E${ESC}[[A${ESC}[<0;3;4M${ESC}[I${ESC}q?`, ["?"]],
  // Late replies by the terminal to another program's queries, and control characters.
  [`${ESC}]11;rgb:0000/0000/0000${ESC}\\${ESC}]10;q\x07${ESC}P1$r0q${ESC}\\${ESC}[?62;4cx`, ["x"]],
  ["\x00\x01\x0c\x1ax", ["x"]],
  // Interrupted by the next sequence or by a character that cannot be part of one.
  [`${ESC}[5${ESC}[A${ESC}]0;q${ESC}[B${ESC}[1é`, ["up", "down", "é"]],
  [`${ESC}${ESC}[A`, ["escape", "up"]],
];

Deno.test("keys are decoded the same in one piece, byte by byte, and split at any position", () => {
  for (const [input, keys] of INPUTS) {
    assert.deepEqual(keysOf(input), keys, JSON.stringify(input));
    assert.deepEqual(keysOf(...bytesOf(input)), keys, JSON.stringify(input));
    const bytes = ENCODER.encode(input);
    for (let at = 0; at <= bytes.length; at++) {
      assert.deepEqual(keysOf(bytes.slice(0, at), bytes.slice(at)), keys, `${input} at ${at}`);
    }
  }
});

Deno.test("a lone Escape is recognized after a short wait, and a late rest of a sequence still counts", () => {
  const decoder = new KeyDecoder();
  assert.deepEqual(decoder.push(ENCODER.encode(ESC)), []);
  const { waitMs = Infinity } = decoder;
  assert.ok(waitMs >= 25 && waitMs <= 200, `${waitMs} ms`);
  assert.deepEqual(decoder.flush(), [{ name: "escape" }]);
  assert.deepEqual(decoder.push(ENCODER.encode("[A")), [{ name: "up" }]);
  assert.deepEqual(decoder.push(ENCODER.encode("q")), [{ name: "character", text: "q" }]);
  assert.deepEqual(keysOf(ESC, ESC, "[Z"), ["escape", "backtab"]);
});

Deno.test("an unterminated sequence or paste yields its keys and uses bounded memory", () => {
  assert.deepEqual(keysOf(`${ESC}[12`), []);
  assert.deepEqual(keysOf(`${ESC}]0;title`), []);
  assert.deepEqual(keysOf(`${ESC}[200~never`), ["paste:never"]);
  const decoder = new KeyDecoder();
  const megabyte = new Uint8Array(1 << 20).fill(0x71);
  assert.deepEqual(decoder.push(ENCODER.encode(`${ESC}[200~`)), []);
  assert.deepEqual(decoder.push(megabyte), []);
  const [paste] = decoder.push(ENCODER.encode(`${ESC}[201~`));
  assert.ok(paste?.name === "paste" && paste.text.length <= 4_096);
});

Deno.test("invalid UTF-8 is not a command and does not affect the keys that follow", () => {
  assert.deepEqual(keysOf(Uint8Array.of(0xff, 0xc3), "a"), ["\ufffd", "\ufffd", "a"]);
});

Deno.test("10,000 random inputs decode to the same keys in random pieces as in one piece", () => {
  const parts = [ESC, "[", "A", "~", "2", "0", "1", ";", "q", "é", "漢", "\r", `${ESC}[200~`];
  const cut = [`${ESC}[201~`, `${ESC}]`, "\x07", `${ESC}\\`, "O", "P"];
  const all = [...parts, ...cut];
  const seed = Math.floor(Math.random() * 2 ** 31);
  let state = seed;
  const below = (max: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor(state / 0x80000000 * max);
  };
  for (let round = 0; round < 10_000; round++) {
    const input = Array.from({ length: below(12) }, () => all[below(all.length)] ?? "").join("");
    const pieces: Uint8Array[] = [];
    for (let rest = ENCODER.encode(input); rest.length > 0;) {
      const length = 1 + below(rest.length);
      pieces.push(rest.slice(0, length));
      rest = rest.slice(length);
    }
    assert.deepEqual(keysOf(...pieces), keysOf(input), `${JSON.stringify(input)}, seed ${seed}`);
  }
});
