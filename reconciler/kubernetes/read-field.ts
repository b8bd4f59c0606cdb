/**
 * Lenient parsing of JSON from a Kubernetes API server. A missing field, or one of another type,
 * counts as absent; text and lists are cut, so that no content of an object can stop the reader or
 * fill the memory of a process that holds 150,000 objects.
 */
import { parseInstant } from "../../schema/instant.ts";

/** Longest text that is kept, as of a Status or a condition. */
export const TEXT_CHARS_MAX = 1_024;
/** Entries of one list or map that are kept; feature discovery sets a few hundred labels. */
export const ENTRIES_MAX = 1_024;
/** `metadata.name` of a Node or Pod is a DNS subdomain (RFC 1123), 253 characters at most. */
const NAME_CHARS_MAX = 253;
/** UIDs are UUIDs. */
const UID_CHARS_MAX = 128;

export type Fields = Readonly<Record<string, unknown>>;
/** The fields of an API object, with unknown presence and types. */
export type Untrusted<T> = { readonly [K in keyof T]?: unknown };

const NONE = {};

/** The object, or an empty one. */
export function readObject<T = Fields>(value: unknown): Untrusted<T> {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? (value as Untrusted<T>) : NONE;
}

export function readList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, ENTRIES_MAX) : [];
}

/** Text cut to `charsMax`; `null` if it is not text or empty. */
export function readText(value: unknown, charsMax = TEXT_CHARS_MAX): string | null {
  if (typeof value !== "string" || value === "") return null;
  return value.length > charsMax ? value.slice(0, charsMax) : value;
}

/** Labels or annotations whose keys pass `isWanted`. Values that are not text are omitted. */
export function readTextMap(
  value: unknown,
  isWanted: (key: string) => boolean = () => true,
): Record<string, string> {
  const kept: [string, string][] = [];
  for (const [key, text] of Object.entries(readObject(value))) {
    if (kept.length >= ENTRIES_MAX) break;
    if (typeof text !== "string" || key.length > TEXT_CHARS_MAX || !isWanted(key)) continue;
    kept.push([key, text.slice(0, TEXT_CHARS_MAX)]);
  }
  return Object.fromEntries(kept);
}

export type Identity = { name: string; uid: string; resourceVersion: string };

/**
 * The identity of an object; `null` without a valid one. Names and UIDs over the server's limit are
 * refused and not cut: a cut one could be another object's. A version that is not decimal becomes
 * `0`, older than every other.
 */
export function readIdentity(metadata: Untrusted<Identity>): Identity | null {
  const { name, uid, resourceVersion } = metadata;
  if (typeof name !== "string" || name === "" || name.length > NAME_CHARS_MAX) return null;
  if (typeof uid !== "string" || uid === "" || uid.length > UID_CHARS_MAX) return null;
  const isDecimal = typeof resourceVersion === "string" && /^[1-9]\d{0,31}$/.test(resourceVersion);
  return { name, uid, resourceVersion: isDecimal ? resourceVersion : "0" };
}

/** Wall milliseconds of an RFC 3339 instant. */
export function readInstantMs(value: unknown): number | null {
  const ms = typeof value === "string" ? parseInstant(value) : Number.NaN;
  return Number.isFinite(ms) ? ms : null;
}

/** The suffixes of `resource.Quantity` (Kubernetes API concepts, "Quantity"). */
const SCALE: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

const QUANTITY = /^\+?(\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE]([+-]?\d{1,3})|([A-Za-z]{0,2}))$/;

/** The value of a quantity: `"8"`, `"8k"`, `"1e3"`, `"500m"` or `8`; `null` if it is none. */
export function readQuantity(value: unknown): number | null {
  const text = typeof value === "number" ? String(value) : value;
  const match = typeof text === "string" ? QUANTITY.exec(text.trim()) : null;
  if (match === null) return null;
  const [, digits = "", exponent, suffix = ""] = match;
  // `hasOwn`, because the suffix is untrusted and objects inherit members.
  const suffixScale = Object.hasOwn(SCALE, suffix) ? SCALE[suffix] : undefined;
  const scale = exponent === undefined ? suffixScale : 10 ** Number(exponent);
  return scale === undefined ? null : Number(digits) * scale;
}

/**
 * A whole count from a quantity. Fractions are rounded up, as by the server's `Value()`. `null` if
 * it is not a quantity, negative, or beyond exact integers.
 */
export function readCount(value: unknown): number | null {
  const quantity = readQuantity(value);
  const count = quantity === null ? Number.NaN : Math.ceil(quantity);
  return Number.isSafeInteger(count) ? count : null;
}
