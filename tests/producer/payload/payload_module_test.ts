import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { loadPayloadModule } from "../../../lib/producer/payload/payload_module.ts";
import type { RecordSource } from "../../../lib/producer/payload/source.ts";

let moduleCount = 0;

/** Writes each module to a file of its own, because a module is loaded only once per path. */
async function withModule<Result>(
  code: string,
  use: (load: (seed?: number) => Promise<RecordSource>) => Promise<Result>,
): Promise<Result> {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-module-" });
  const path = join(folder, `module_${moduleCount++}.ts`);
  await Deno.writeTextFile(path, code);
  try {
    return await use((seed = 1) => loadPayloadModule(path, seed));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a payload module receives sequence, time, and a seeded random source, and returns text, bytes, nulls, and repeated headers", async () => {
  await withModule(
    `const bytes = new Uint8Array(2);
     export function nextRecord({ sequence, timeMs, random }: Record<string, any>) {
       if (sequence === 2) return { value: null };
       bytes.fill(sequence);
       return {
         key: "k" + sequence + " " + random(),
         value: bytes,
         headers: sequence === 1 ? [["a", "1"], ["a", null]] : { time: String(timeMs) },
       };
     }`,
    async (load) => {
      const draw = async (seed: number) => {
        const source = await load(seed);
        return [1, 2, 3].map((sequence) => source.next({ sequence, timeMs: 40 + sequence }));
      };
      const [first, second, third] = await draw(7);
      assert.deepEqual(
        first?.value,
        Uint8Array.of(1, 1),
        "a copy, not the module's current buffer",
      );
      assert.deepEqual(first?.headers, [
        { key: "a", value: new Uint8Array(Buffer.from("1")) },
        { key: "a", value: null },
      ]);
      assert.deepEqual(second, { key: null, value: null });
      assert.deepEqual(third?.value, Uint8Array.of(3, 3));
      assert.equal(new TextDecoder().decode(third?.headers?.[0]?.value ?? undefined), "43");
      assert.deepEqual(await draw(7), [first, second, third]);
      assert.notDeepEqual((await draw(8))[0]?.key, first?.key);
    },
  );
});

const WRONG: readonly (readonly [returned: string, message: RegExp])[] = [
  ["undefined", /expected \{ key, value, headers \}, got undefined/],
  ["null", /got null/],
  ["'text'", /got a string/],
  ["[1]", /got an array/],
  ["({})", /value must be a string, a Uint8Array, or null, got undefined/],
  ["({ value: 17 })", /value must be .*, got a number/],
  ["({ value: { a: 1 } })", /value must be .*, got an object/],
  ["({ value: '', key: 5 })", /key must be .*, got a number/],
  ["({ value: '', keys: 'k' })", /a field "keys"; expected key, value, and headers only/],
  ["({ value: '', headers: 'h' })", /headers must be an object or a list of \[name, value\]/],
  ["({ value: '', headers: [['a']] })", /headers must be an object or a list of \[name, value\]/],
  ["({ value: '', headers: { a: 1 } })", /header "a" must be .*, got a number/],
  ["Promise.reject(new Error('late'))", /a promise; nextRecord must return the record itself/],
];

Deno.test("a payload module that returns an invalid record ends the run with the reason and the sequence", async () => {
  for (const [returned, message] of WRONG) {
    await withModule(`export const nextRecord = (): unknown => ${returned};`, async (load) => {
      const source = await load();
      assert.throws(() => source.next({ sequence: 17, timeMs: 0 }), (error: Error) => {
        assert.equal(error.name, "PayloadError");
        assert.match(error.message, /^nextRecord\(\) returned no valid record at record 17: /);
        assert.match(error.message, message);
        return true;
      });
    });
  }
});

Deno.test("a payload module can throw anything, even from a getter of its record", async () => {
  const thrown = [
    ["throw new RangeError('too far')", /threw at record 3: RangeError: too far/],
    ["throw Object.create(null)", /threw at record 3: /],
    ["return { get value() { throw 'why' } }", /threw at record 3: "why"/],
  ] as const;
  for (const [statement, message] of thrown) {
    await withModule(`export function nextRecord(): unknown { ${statement} }`, async (load) => {
      const source = await load();
      assert.throws(() => source.next({ sequence: 3, timeMs: 0 }), {
        name: "PayloadError",
        message,
      });
    });
  }
});

Deno.test("a payload module without nextRecord is rejected", async () => {
  for (const code of ["export const record = 1;", "export const nextRecord = 1;"]) {
    await withModule(code, async (load) => {
      await assert.rejects(load(), { name: "PayloadError", message: /exports no function next/ });
    });
  }
});
