/**
 * Reads a page of metrics in the text format 0.0.4 of Prometheus ("Exposition formats"): samples
 * with their labels. Lines that are no samples are left out, since a page may be cut. Pure.
 */

export type MetricSample = { name: string; labels: Record<string, string>; value: number };

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const LABEL = /^[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*/;
const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const ODD: Readonly<Record<string, number>> = {
  ...{ nan: Number.NaN, inf: Infinity, "+inf": Infinity, "-inf": -Infinity },
  ...{ infinity: Infinity, "+infinity": Infinity, "-infinity": -Infinity },
};

export function readMetricPage(page: string): MetricSample[] {
  return page.split("\n").flatMap((line) => readSample(line.trim()) ?? []);
}

function readSample(line: string): MetricSample | null {
  const name = NAME.exec(line)?.[0];
  if (name === undefined) return null;
  const read = readLabels(line.slice(name.length).trimStart());
  if (read === null) return null;
  // A time stamp may follow the value.
  const [text = "", stamp, more] = read.rest.trim().split(/[ \t]+/);
  if (more !== undefined || (stamp !== undefined && !/^-?\d+$/.test(stamp))) return null;
  const value = NUMBER.test(text) ? Number(text) : ODD[text.toLowerCase()];
  return value === undefined ? null : { name, labels: read.labels, value };
}

function readLabels(text: string): { labels: Record<string, string>; rest: string } | null {
  const labels: Record<string, string> = {};
  if (!text.startsWith("{")) return { labels, rest: text };
  let rest = text.slice(1);
  for (;;) {
    const label = LABEL.exec(rest);
    if (label !== null) {
      labels[label[1] ?? ""] = unescape(label[2] ?? "");
      rest = rest.slice(label[0].length);
      if (rest.startsWith(",")) {
        rest = rest.slice(1);
        continue;
      }
    }
    rest = rest.trimStart();
    return rest.startsWith("}") ? { labels, rest: rest.slice(1) } : null;
  }
}

const unescape = (text: string): string =>
  text.replace(/\\(.)/g, (_, letter: string) => (letter === "n" ? "\n" : letter));
