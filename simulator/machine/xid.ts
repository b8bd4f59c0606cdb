/**
 * The kernel log line and the GPU state of a simulated XID, in the driver's own words
 * (docs/reference/kernel-log.md#xid-lines). The state lasts until recovery, reset or replacement.
 */

/** PCI address of GPU `index` as the kernel log prints it; the readings print the same one. */
export function formatPci(index: number): string {
  return `0000:${(0x18 + 3 * index).toString(16).padStart(2, "0")}:00`;
}

const SAID: Readonly<Record<number, string>> = {
  13: "Graphics Exception: ESR 0x504e48=0xf",
  31: "Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0 faulted",
  43: "Ch 00000010, engmask 00000101",
  45: "Ch 00000008",
  48: "DBE (double bit error) ECC error",
  63: "Row Remapper: New row marked for remapping, reset gpu to activate.",
  64: "Row Remapper: Error recording row remapping event",
  74: "NVLink: fatal error detected on link 0(0x0, 0x0, 0x10000, 0x0, 0x0, 0x0, 0x0)",
  79: "GPU has fallen off the bus.",
  92: "High single-bit ECC error rate",
  94: "Contained: CE User Channel (0x9). RST: No, D-RST: No",
  95: "Uncontained: FBHUB. RST: Yes, D-RST: No",
  119: "Timeout after 6s of waiting for RPC response from GPU0 GSP!",
};

/** One line of the driver; `message` replaces the text after the code. */
export function formatXidLine(code: number, gpu: number, message: string | null): string {
  const said = message ?? SAID[code] ?? `simulated error ${code}`;
  return `NVRM: Xid (PCI:${formatPci(gpu)}): ${code}, ${said}`;
}

/** What stays on the card. */
export type Lasting =
  | "lost"
  /** An uncorrected error is counted, and the driver asks for a reset (field 230). */
  | "ecc_reset"
  | "remap_pending"
  | "remap_failed"
  | "link_down"
  /** Nothing is counted, but the driver asks for a reset. */
  | "reset"
  | "none";

/** Codes after which the driver wants a reset; 48 and 95 count an error besides. */
const RESET = new Set([46, 62, 109, 110, 119, 120, 136, 140, 143]);

export function lastingOf(code: number): Lasting {
  if (code === 79) return "lost";
  if (code === 48 || code === 95) return "ecc_reset";
  if (code === 63) return "remap_pending";
  if (code === 64) return "remap_failed";
  if (code === 74) return "link_down";
  return RESET.has(code) ? "reset" : "none";
}
