/**
 * Values while a template prints, and how Go writes them (`%v` of package fmt). Text keeps two
 * forms, because a setup command quotes what comes from outside of it.
 */
import type { Literal } from "./template.ts";

export type Value =
  /** `raw` is what comparisons see, `shown` what is printed. */
  | { kind: "text"; raw: string; shown: string }
  /** `bigint`: an integer; `number`: a float. */
  | { kind: "plain"; value: bigint | number | boolean }
  | { kind: "list"; items: readonly unknown[] }
  | { kind: "map"; entries: Readonly<Record<string, unknown>> }
  /** Nothing; `isAbsent`: there is no such key, where Go tells it from a null. */
  | { kind: "nil"; isAbsent: boolean; path: string };

export type Quote = (text: string) => string;
export const bare: Quote = (text) => text;

export const text = (raw: string): Value => ({ kind: "text", raw, shown: raw });
export const plain = (value: bigint | number | boolean): Value => ({ kind: "plain", value });

export function literal(value: Literal): Value {
  return typeof value === "string" ? text(value) : plain(value);
}

/** A value of YAML or JSON. A whole number is an integer, however it was written. */
export function outside(value: unknown, path: string, quote: Quote): Value {
  if (typeof value === "string") return { kind: "text", raw: value, shown: quote(value) };
  if (typeof value === "bigint" || typeof value === "boolean") return plain(value);
  if (typeof value === "number") return plain(Number.isInteger(value) ? BigInt(value) : value);
  if (Array.isArray(value)) return { kind: "list", items: value };
  if (value instanceof Date) return text(value.toISOString());
  if (typeof value !== "object" || value === null) return { kind: "nil", isAbsent: false, path };
  // Read by own keys alone; a copy would cost its size at each use.
  return { kind: "map", entries: value as Readonly<Record<string, unknown>> };
}

/** An entry of a map, own properties only. */
export function entryOf(
  entries: Readonly<Record<string, unknown>>,
  key: string,
  path: string,
  quote: Quote,
): Value {
  if (!Object.hasOwn(entries, key)) return { kind: "nil", isAbsent: true, path };
  return outside(entries[key], path, quote);
}

/** Keys in the order of their bytes, as Go sorts them. */
export function sortedKeys(entries: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(entries).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function isEmpty(entries: Readonly<Record<string, unknown>>): boolean {
  for (const key in entries) if (Object.hasOwn(entries, key)) return false;
  return true;
}

export function isTrue(value: Value): boolean {
  switch (value.kind) {
    case "text":
      return value.raw !== "";
    case "plain":
      return Boolean(value.value);
    case "list":
      return value.items.length > 0;
    case "map":
      return !isEmpty(value.entries);
    case "nil":
      return false;
  }
}

/** The type's name in Go, after yaml or JSON was read into `interface{}`. */
export function typeOf(value: Value): string {
  switch (value.kind) {
    case "text":
      return "string";
    case "plain":
      if (typeof value.value === "bigint") return "int";
      return typeof value.value === "number" ? "float64" : "bool";
    case "list":
      return "[]interface {}";
    case "map":
      return "map[string]interface {}";
    case "nil":
      return "<nil>";
  }
}

/** `%v`: of text its `form`. */
export function format(value: Value, form: "raw" | "shown" = "raw"): string {
  switch (value.kind) {
    case "text":
      return value[form];
    case "plain":
      return typeof value.value === "number" ? formatFloat(value.value) : String(value.value);
    case "list":
      return `[${value.items.map((item) => format(outside(item, "", bare))).join(" ")}]`;
    case "map": {
      const { entries } = value;
      const shown = sortedKeys(entries).map((key) => {
        return `${key}:${format(entryOf(entries, key, "", bare))}`;
      });
      return `map[${shown.join(" ")}]`;
    }
    case "nil":
      return "<nil>";
  }
}

/** `%g` with the fewest digits that read back as the same number. */
export function formatFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  const [digits = "", power = "0"] = value.toExponential().split("e");
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 6) return `${digits}e${goExponent(exponent)}`;
  const count = digits.replace(/[-.]/g, "").length;
  return value.toFixed(Math.max(0, count - 1 - exponent));
}

/** At least two digits. */
export const goExponent = (exponent: number): string =>
  `${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
