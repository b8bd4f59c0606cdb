/** Classifies return codes of the library (docs/reference/nvml.md#return-codes). */
import type { NvmlFailure } from "../port/reading.ts";

export const SUCCESS = 0;
export const UNINITIALIZED = 1;
export const INVALID_ARGUMENT = 2;
export const NOT_SUPPORTED = 3;
export const NO_PERMISSION = 4;
export const INSUFFICIENT_SIZE = 7;
export const TIMEOUT = 10;
export const OPERATING_SYSTEM = 17;
export const VERSION_MISMATCH = 18;
/** A struct's version word that this library does not know. */
export const VERSION_UNKNOWN = 25;
export const GPU_IS_LOST = 15;
export const RESET_REQUIRED = 16;
export const UNKNOWN = 999;

const WORDS: Readonly<Record<number, string>> = {
  1: "library not initialised",
  2: "invalid argument",
  3: "not supported",
  4: "no permission",
  8: "insufficient external power",
  9: "kernel driver not loaded",
  10: "timeout",
  11: "interrupt problem",
  12: "shared library not found",
  13: "function not found",
  14: "infoROM corrupted",
  15: "GPU is lost",
  16: "GPU requires a reset",
  17: "operating system or cgroup blocks access",
  18: "driver and library versions differ",
  20: "out of memory",
  23: "insufficient resources",
  27: "driver not ready",
  28: "no GPU found",
  999: "unknown error",
};

/** `15 (GPU is lost)`. */
export function formatCode(code: number): string {
  const words = WORDS[code];
  return words === undefined ? String(code) : `${code} (${words})`;
}

/** Codes about the GPU and not about the call, the worst first. */
const GPU_CODES: readonly number[] = [GPU_IS_LOST, RESET_REQUIRED, 8, 11, 14, UNKNOWN, TIMEOUT];

export function isGpuCode(code: number): boolean {
  return GPU_CODES.includes(code);
}

/** The worse of two GPU codes. */
export function worseCode(a: number, b: number): number {
  const rank = (code: number) => (isGpuCode(code) ? GPU_CODES.indexOf(code) : GPU_CODES.length);
  return rank(b) < rank(a) ? b : a;
}

/** Codes of a GPU that may answer at the next reading: one is noise, several in a row a fault. */
export function isPassing(code: number): boolean {
  return code === UNKNOWN || code === TIMEOUT;
}

/** The process may not read the value, or a cgroup blocks it: it says nothing about the GPU. */
export function isDenial(code: number): boolean {
  return code === NO_PERMISSION || code === OPERATING_SYSTEM;
}

/** Codes that require a new init of the library. */
export function wantsInit(code: number): boolean {
  return code === UNINITIALIZED || code === 9 || code === VERSION_MISMATCH || code === 27;
}

/** Codes after which another call may give the value. */
export function isUnsupported(code: number): boolean {
  return code === NOT_SUPPORTED || code === 13 || code === VERSION_UNKNOWN || code === 26;
}

/** The failure of the node after `operation` answered `code`. */
export function failureOf(code: number, operation: string): NvmlFailure {
  const message = `${operation}: ${formatCode(code)}`;
  if (code === 9 || code === 12 || code === 28) return { reason: "driver", code, message };
  if (code === VERSION_MISMATCH) return { reason: "version", code, message };
  if (isDenial(code)) return { reason: "permission", code, message };
  return { reason: "other", code, message };
}
