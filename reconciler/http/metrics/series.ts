/** The text format 0.0.4 of one metric: its head once, and a line per series. Pure. */
import { HELP, type MetricName } from "./help.ts";

/** Room for the lines of a small metric; it doubles as needed. */
const FIRST_BYTES = 4 * 1_024;

/**
 * Lines of one metric, taken out slice by slice. Written as bytes: as text, a page of 300,000 lines
 * leaves garbage of three times its size.
 */
export class Series {
  private buffer = Buffer.allocUnsafe(FIRST_BYTES);
  private length = 0;
  private readonly name: string;

  constructor(name: MetricName, type: "gauge" | "counter" = "gauge") {
    this.name = name;
    this.write(`# HELP ${name} ${HELP[name]}\n# TYPE ${name} ${type}\n`);
  }

  add(from: Record<string, string>, value: number): void {
    this.raw(value, labelsOf(from));
  }

  /** `key` is the formatted labels of the series, with braces, in any number of pieces. */
  raw(value: number, ...key: string[]): void {
    this.write(this.name);
    for (const piece of key) this.write(piece);
    this.write(` ${value}\n`);
  }

  /** A copy of what was added since the last call; the first one begins with the head. */
  take(): Uint8Array {
    const taken = new Uint8Array(this.buffer.subarray(0, this.length));
    this.length = 0;
    return taken;
  }

  private write(text: string): void {
    // UTF-8 takes at most three bytes for each of JavaScript's characters.
    const needed = this.length + 3 * text.length;
    if (needed > this.buffer.length) {
      const larger = Buffer.allocUnsafe(2 * needed);
      this.buffer.copy(larger, 0, 0, this.length);
      this.buffer = larger;
    }
    this.length += this.buffer.write(text, this.length);
  }
}

/** A gauge of one series; none for `null`. */
export function single(
  name: MetricName,
  value: number | null,
  labels: Record<string, string> = {},
): Series {
  const series = new Series(name);
  if (value !== null) series.add(labels, value);
  return series;
}

/** `{pool="p",node_id="n"}`, or nothing without labels. */
export function labelsOf(from: Record<string, string>): string {
  const parts = Object.entries(from).map(([key, value]) => label(key, value));
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

export function label(key: string, value: string): string {
  return `${key}="${escapeLabel(value)}"`;
}

/** Tests before it replaces: escapes are rare, and a page has a million labels. */
export function escapeLabel(value: string): string {
  if (!/[\\"\n]/.test(value)) return value;
  return value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}

/** `NODE_STATUS_ACTIVE` as `active`, for labels. */
export function shortOf(name: string, prefix: string): string {
  return name.slice(prefix.length).toLowerCase();
}
