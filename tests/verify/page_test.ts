import assert from "node:assert/strict";
import { OffsetBits, Page, PAGE_OFFSETS, pageNumberOf } from "../../lib/verify/page.ts";

Deno.test("OffsetBits keeps the offsets of its page separate, even past 2^31", () => {
  for (const first of [0, 5 * PAGE_OFFSETS, 2 ** 40]) {
    const bits = new OffsetBits();
    for (let index = 0; index < PAGE_OFFSETS; index += 3) {
      assert.equal(bits.add(first + index), true);
      assert.equal(bits.add(first + index), false);
    }
    for (let index = 0; index < PAGE_OFFSETS; index++) {
      assert.equal(bits.has(first + index), index % 3 === 0, `${first} + ${index}`);
    }
    const every = new OffsetBits();
    for (let index = 0; index < PAGE_OFFSETS; index++) every.add(first + index);
    assert.deepEqual(
      [...every.without(bits)],
      Array.from({ length: PAGE_OFFSETS }, (_, index) => index).filter((index) => index % 3 !== 0),
    );
    assert.deepEqual([...bits.without(every)], []);
    assert.equal(bits.intersects(every), true);
    assert.equal(bits.intersects(new OffsetBits()), false);
  }
});

Deno.test("pageNumberOf() changes every 1,024 offsets", () => {
  assert.deepEqual([0, 1_023, 1_024, 2 ** 40].map(pageNumberOf), [0, 0, 1, 2 ** 30]);
});

Deno.test("Page.addLine() distinguishes a repeat within one journal from one in another", () => {
  const page = new Page(0);
  assert.equal(page.addLine(1, { journal: 0, start: 0, end: 1 }), "new");
  assert.equal(page.addLine(1, { journal: 0, start: 0, end: 1 }), "repeated");
  assert.equal(page.addLine(1, { journal: 1, start: 0, end: 1 }), "in-another-journal");
  assert.equal(page.addLine(1, { journal: 1, start: 0, end: 1 }), "repeated");
  assert.equal(page.addLine(2, { journal: 1, start: 0, end: 1 }), "new");
  assert.equal(page.addLine(2, { journal: 1, start: 0, end: 1 }), "repeated");
  assert.equal(page.addLine(2, { journal: 2, start: 0, end: 1 }), "in-another-journal");
  assert.equal(page.addLine(1, { journal: 2, start: 0, end: 1 }), "in-another-journal");
});
