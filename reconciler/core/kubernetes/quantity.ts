/**
 * Reads quantities of Kubernetes (`100m`, `2Ti`, `1e3`) without rounding, in billionths of their
 * unit, as `resource.Quantity` does (apimachinery 1.37, pkg/api/resource/quantity.go). Pure.
 */

const NANO_DIGITS = 9;
export const UNIT = 10n ** BigInt(NANO_DIGITS);

const QUANTITY = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,10})|([numkMGTPE]|[KMGTPE]i))?$/;

/** Powers of ten of the decimal suffixes. */
const TENS: Readonly<Record<string, number>> = {
  ...{ n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 },
};
/** Powers of two of the binary suffixes. */
const TWOS: Readonly<Record<string, number>> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };

/** Go caps quantities with a binary suffix, and only these. */
const BINARY_MAX = (2n ** 63n - 1n) * UNIT;
/** An int64 has 19 digits. Longer texts and exponents would only cost memory. */
const DIGITS_MAX = 64;
const EXPONENT_MAX = 63;

/**
 * Billionths; a remainder is rounded away from zero, so that a small share stays one. `null`: not
 * a quantity, or out of bounds. A number is what an object in YAML has in place of a text.
 */
export function parseQuantity(value: unknown): bigint | null {
  const text = typeof value === "number" ? String(value) : value;
  const match = typeof text === "string" ? QUANTITY.exec(text) : null;
  if (match === null) return null;
  const [, sign = "", whole = "", fraction = "", exponent, suffix = ""] = match;
  const digits = whole + fraction;
  if (digits === "" || digits.length > DIGITS_MAX) return null;
  const tens = exponent === undefined ? (TENS[suffix] ?? 0) : Number(exponent);
  if (tens > EXPONENT_MAX) return null;
  const twos = TWOS[suffix];
  const scaled = BigInt(digits) * 2n ** BigInt(twos ?? 0);
  const nanos = shift(scaled, tens + NANO_DIGITS - fraction.length);
  const capped = twos !== undefined && nanos > BINARY_MAX ? BINARY_MAX : nanos;
  return sign === "-" ? -capped : capped;
}

/** `value` × 10^`places`, rounded up. */
function shift(value: bigint, places: number): bigint {
  if (places >= 0) return value * 10n ** BigInt(places);
  // Every digit is behind the last place.
  if (-places > 2 * DIGITS_MAX) return value === 0n ? 0n : 1n;
  const by = 10n ** BigInt(-places);
  return (value + by - 1n) / by;
}

/** In units, as the nearest number. */
export function unitsOf(nanos: bigint): number {
  return nanos % UNIT === 0n ? Number(nanos / UNIT) : Number(nanos) / Number(UNIT);
}
