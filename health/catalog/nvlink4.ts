/**
 * Decodes XID 74 from the seven registers of its line (docs/reference/xid.md#nvlink-4). Hopper
 * fills registers 1, 3, 4 and 5. Bits that are not in the table are unlisted, never harmless. Pure.
 */

/** Meanings of one bit, weakest first. */
export const NVLINK4_READINGS = [
  /** Known to mean nothing. */
  "ignore",
  /** Corrected errors passed their threshold; traffic continues. */
  "corrected",
  /** A consequence of another error; report it to the vendor only if it occurs alone. */
  "secondary",
  /** Report it to the vendor if it recurs. */
  "report",
  /** The bit is not in the table. */
  "unlisted",
  /** ECC or parity; hardware when it happens more than twice on one link. */
  "ecc",
  /** Marginal signal: connections, field diagnostics. */
  "signal",
  /** Possibly hardware: reseat, diagnose. */
  "hardware",
  /** The link fabric does not work again without a reset. */
  "fabric_reset",
] as const;
export type Nvlink4Reading = (typeof NVLINK4_READINGS)[number];

/** Register (1–7) → bit → reading. */
const TABLE: Record<number, Partial<Record<Nvlink4Reading, readonly number[]>>> = {
  1: {
    ignore: [0, 23, 30],
    secondary: [1, 20],
    ecc: [4, 5],
    hardware: [8, 9, 12, 16, 17, 24, 28],
    signal: [21, 22],
    report: [27, 29],
  },
  3: { ecc: [0, 1, 2, 6], report: [13, 16, 17, 18, 19] },
  4: { secondary: [16, 17], fabric_reset: [18] },
  5: { ecc: [18, 19, 21, 22, 24, 25, 27, 28], corrected: [20, 23, 26, 29] },
};

function readingOf(register: number, bit: number): Nvlink4Reading {
  const readings = TABLE[register] ?? {};
  return NVLINK4_READINGS.find((reading) => readings[reading]?.includes(bit)) ?? "unlisted";
}

/** The strongest reading of all bits set in registers 1 to 7, unsigned 32-bit words. */
export function decodeNvlink4(registers: readonly number[]): Nvlink4Reading {
  const readings = registers.flatMap((value, at) => {
    const bits = Array.from({ length: 32 }, (_, bit) => bit);
    const set = bits.filter((bit) => ((value >>> bit) & 1) === 1);
    return set.map((bit) => readingOf(at + 1, bit));
  });
  return NVLINK4_READINGS.findLast((reading) => readings.includes(reading)) ?? "unlisted";
}

/** True for readings that stop the link until the GPU is reset. */
export function needsReset(reading: Nvlink4Reading): boolean {
  return reading === "hardware" || reading === "fabric_reset";
}
