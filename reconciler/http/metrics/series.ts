/**
 * The text format 0.0.4 of one metric: what it is, once, and a line a series. Pure.
 */

/** Room for the lines of a small metric; a large one doubles it until its slices fit. */
const FIRST_BYTES = 4 * 1_024;

/**
 * Lines of one metric, taken out as often as there is enough for a slice. They are written as bytes
 * at once: as text, a page of 300,000 lines leaves three times its size for the collector.
 */
export class Series {
  private buffer = Buffer.allocUnsafe(FIRST_BYTES);
  private length = 0;
  private readonly name: string;

  constructor(name: string, help: string, type: "gauge" | "counter" = "gauge") {
    this.name = name;
    this.write(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`);
  }

  add(from: Record<string, string>, value: number): void {
    this.raw(value, labelsOf(from));
  }

  /** `key` is the series' labels as printed, with braces, in any number of pieces. */
  raw(value: number, ...key: string[]): void {
    this.write(this.name);
    for (const piece of key) this.write(piece);
    this.write(` ${value}\n`);
  }

  /** A copy of what was added since it was last taken, with the head the first time. */
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

/** `{pool="p",node_id="n"}`, or nothing for no label. */
export function labelsOf(from: Record<string, string>): string {
  const parts = Object.entries(from).map(([key, value]) => label(key, value));
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

/** `pool="p"`. */
export function label(key: string, value: string): string {
  return `${key}="${escapeLabel(value)}"`;
}

/** What needs an escape is rare, and a page has a million labels: looked for, then replaced. */
export function escapeLabel(value: string): string {
  if (!/[\\"\n]/.test(value)) return value;
  return value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}

/** `NODE_STATUS_ACTIVE` without its prefix, as labels have it. */
export function shortOf(name: string, prefix: string): string {
  return name.slice(prefix.length).toLowerCase();
}
