/**
 * Decodes XID 74, whose meaning is in seven registers of the line (docs/reference/xid.md#nvlink-4).
 * Hopper fills registers 1, 3, 4 and 5. A register or bit that is not in the table is reported as
 * unlisted, never as harmless. Pure.
 */

/** What one bit says, from harmless to strongest. */
export const NVLINK4_READINGS = [
  /** Known to mean nothing. */
  "ignore",
  /** Corrected errors passed their threshold; traffic continues. */
  "corrected",
  /** A consequence of something else; worth a ticket only when alone. */
  "secondary",
  /** Worth a ticket when it comes back. */
  "report",
  /** Not in the table. */
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

export type Nvlink4Decode = {
  /** The strongest reading over all bits set; `unlisted` when no bit is set. */
  reading: Nvlink4Reading;
  /** `1.16` = bit 16 of register 1, in the order of the registers. */
  bits: string[];
};

function readingOf(register: number, bit: number): Nvlink4Reading {
  for (const [reading, bits] of Object.entries(TABLE[register] ?? {})) {
    if (bits.includes(bit)) return NVLINK4_READINGS.find((r) => r === reading) ?? "unlisted";
  }
  return "unlisted";
}

/** Decodes the registers as printed, first one first; each an unsigned 32-bit word. */
export function decodeNvlink4(registers: readonly number[]): Nvlink4Decode {
  const bits: string[] = [];
  let strongest = -1;
  registers.forEach((value, at) => {
    for (let bit = 0; bit < 32; bit++) {
      if (((value >>> bit) & 1) === 0) continue;
      bits.push(`${at + 1}.${bit}`);
      strongest = Math.max(strongest, NVLINK4_READINGS.indexOf(readingOf(at + 1, bit)));
    }
  });
  return { reading: NVLINK4_READINGS[strongest] ?? "unlisted", bits };
}

/** True for the readings that stop the link for good: the GPU needs a reset. */
export function needsReset(reading: Nvlink4Reading): boolean {
  return reading === "hardware" || reading === "fabric_reset";
}
