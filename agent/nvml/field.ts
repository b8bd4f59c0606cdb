/**
 * Encodes and parses the field batch: many values of one GPU in one call. Each entry has its own
 * return code and value type, which differ by field and driver (docs/reference/nvml.md).
 */

import { FIELD_VALUE } from "./layout.ts";

/** Field ids. */
export const FIELD = {
  eccSbeVolatile: 3,
  eccDbeVolatile: 4,
  eccSbeAggregate: 5,
  eccDbeAggregate: 6,
  retiredSbe: 29,
  retiredDbe: 30,
  retiredPending: 31,
  memoryTemperature: 82,
  linkCount: 91,
  pcieReplay: 94,
  linkReplay: 161,
  linkRecovery: 162,
  linkCrc: 163,
  linkState: 165,
  shutdownLimit: 193,
  slowdownLimit: 194,
  recoveryAction: 230,
} as const;

/** `scope` is the link, lane or power domain; zero for most fields. */
export type FieldQuery = { id: number; scope?: number };
export type FieldAnswer = { code: number; value: number | null };

const { bytes: ENTRY_BYTES, fields: ENTRY } = FIELD_VALUE;

/** A zeroed `nvmlFieldValue_t[]` that asks for `queries`. */
export function encodeFields(queries: readonly FieldQuery[]): Uint8Array {
  const bytes = new Uint8Array(ENTRY_BYTES * queries.length);
  const view = new DataView(bytes.buffer);
  queries.forEach((query, i) => {
    view.setUint32(i * ENTRY_BYTES + ENTRY.fieldId.at, query.id, true);
    view.setUint32(i * ENTRY_BYTES + ENTRY.scopeId.at, query.scope ?? 0, true);
  });
  return bytes;
}

/** The answers, in the order of the queries. */
export function parseFields(bytes: Uint8Array): FieldAnswer[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const answers: FieldAnswer[] = [];
  for (let at = 0; at + ENTRY_BYTES <= bytes.byteLength; at += ENTRY_BYTES) {
    const code = view.getUint32(at + ENTRY.nvmlReturn.at, true);
    const type = view.getUint32(at + ENTRY.valueType.at, true);
    const value = code === 0 ? decode(view, at + ENTRY.value.at, type) : null;
    answers.push({ code, value });
  }
  return answers;
}

/** Value types of a field; an unknown type gives no value. */
function decode(view: DataView, at: number, type: number): number | null {
  switch (type) {
    case 0: {
      const real = view.getFloat64(at, true);
      return Number.isFinite(real) ? real : null;
    }
    case 1:
      return view.getUint32(at, true);
    case 2:
    case 3:
      return numberOf(view.getBigUint64(at, true));
    case 4:
      return Number(view.getBigInt64(at, true));
    case 5:
      return view.getInt32(at, true);
    case 6:
      return view.getUint16(at, true);
    default:
      return null;
  }
}

const NOT_AVAILABLE = 0xffffffffffffffffn;

/** 2^64 − 1 is the library's "not available"; no counter exceeds 2^53. */
export function numberOf(value: bigint): number | null {
  return value === NOT_AVAILABLE ? null : Number(value);
}
