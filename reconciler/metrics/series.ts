/**
 * The text format 0.0.4 of one metric: what it is, once, and a line a series. Pure.
 */

/** Lines of one metric, taken out as often as there is enough for a slice. */
export class Series {
  private text: string;
  private readonly name: string;

  constructor(name: string, help: string, type: "gauge" | "counter" = "gauge") {
    this.name = name;
    this.text = `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
  }

  add(from: Record<string, string>, value: number): void {
    this.raw(labelsOf(from), value);
  }

  /** `key` is the series' labels as printed, with braces, or empty. */
  raw(key: string, value: number): void {
    this.text += `${this.name}${key} ${value}\n`;
  }

  /** What was added since it was last taken, with the head the first time. */
  take(): string {
    const { text } = this;
    this.text = "";
    return text;
  }
}

/** `{pool="p",node_id="n"}`, or nothing for no label. */
export function labelsOf(from: Record<string, string>): string {
  const parts = Object.entries(from).map(([key, value]) => label(key, value));
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

/** `pool="p"`. Escapes are rare, and a page has a million labels: looked for before replaced. */
export function label(key: string, value: string): string {
  const plain = !/[\\"\n]/.test(value);
  return `${key}="${plain ? value : escape(value)}"`;
}

const escape = (value: string): string =>
  value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");

/** `NODE_STATUS_ACTIVE` without its prefix, as labels have it. */
export function shortOf(name: string, prefix: string): string {
  return name.slice(prefix.length).toLowerCase();
}
