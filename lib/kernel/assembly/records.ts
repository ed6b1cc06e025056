// @ts-nocheck AssemblyScript
// Reads the records of a batch, after decompression. Refuses the same bytes as lib/kafka/protocol/, which defines them.

import { INPUT } from "./memory.ts";

/** The record that was read last. A length of -1 means null. */
export let timestampDelta: i64 = 0;
export let offsetDelta: i32 = 0;
export let keyAt: usize = 0;
export let keyLength: i32 = 0;
export let valueAt: usize = 0;
export let valueLength: i32 = 0;
export let headersAt: usize = 0;
export let headerCount: i32 = 0;
export let headerBytes: usize = 0;

/** The address of the field that was read last. */
export let fieldAt: usize = 0;

let at: usize = 0;
let end: usize = 0;
let isBroken: bool = false;

function varlong(bitsMax: u64): u64 {
  let value: u64 = 0;
  for (let shift: u64 = 0; shift < bitsMax; shift += 7) {
    if (at >= end) break;
    const byte = <u64> load<u8>(at++);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  isBroken = true;
  return 0;
}

function varint32(): i32 {
  const zigzag = <u32> varlong(32);
  return <i32> (zigzag >>> 1) ^ -<i32> (zigzag & 1);
}

function varint64(): i64 {
  const zigzag = varlong(64);
  return <i64> (zigzag >>> 1) ^ -<i64> (zigzag & 1);
}

/** Moves past a field and returns its length; -1 if it is null. */
function field(): i32 {
  const length = varint32();
  fieldAt = at;
  if (length < 0 || isBroken) return -1;
  if (<usize> length > end - at) isBroken = true;
  else at += length;
  return length;
}

/** Reads the record at an address; returns its end, or 0 if there is no record. */
export function readRecord(from: usize, batchEnd: usize): usize {
  at = from;
  end = batchEnd;
  isBroken = false;
  const length = varint32();
  if (isBroken || length <= 0 || <usize> length > end - at) return 0;
  end = at + length;
  at++; // attributes
  timestampDelta = varint64();
  offsetDelta = varint32();
  keyLength = field();
  keyAt = fieldAt;
  valueLength = field();
  valueAt = fieldAt;
  headerCount = varint32();
  headersAt = at;
  if (headerCount < 0) return 0;
  for (let left = headerCount; left > 0 && !isBroken; left--) {
    if (field() < 0) return 0;
    field();
  }
  headerBytes = at - headersAt;
  return isBroken || at != end ? 0 : end;
}

/** Goes back to the headers of the record that was read last. */
export function rewindHeaders(): void {
  at = headersAt;
}

/** Reads the next header key or value of the record. */
export function headerField(): i32 {
  return field();
}

/** Returns whether the input is exactly that many records. */
export function areRecords(length: usize, count: i32): bool {
  let from = INPUT;
  const batchEnd = INPUT + length;
  if (count < 0) return false;
  for (; count > 0; count--) {
    from = readRecord(from, batchEnd);
    if (from == 0) return false;
  }
  return from == batchEnd;
}
