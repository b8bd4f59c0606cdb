/** Reading Prometheus text format 0.0.4, as much of it as an assertion asks for. Pure. */

type Matcher = { label: string; op: "=" | "!=" | "=~" | "!~"; value: string };
export type Selector = { name: string; matchers: Matcher[] };

const NAME = /^\s*([a-zA-Z_:][\w:]*)\s*(?:\{(.*)\})?\s*$/s;
const MATCHER = /\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)/y;

/** `navarch_nodes{status="active"}`; `null` if it is no selector. */
export function parseSelector(text: string): Selector | null {
  const parts = NAME.exec(text);
  const name = parts?.[1];
  if (parts === null || name === undefined) return null;
  const matchers: Matcher[] = [];
  const inside = parts[2] ?? "";
  MATCHER.lastIndex = 0;
  while (MATCHER.lastIndex < inside.length) {
    const found = MATCHER.exec(inside);
    if (found === null) return null;
    const [, label = "", op = "=", value = ""] = found;
    matchers.push({ label, op: op as Matcher["op"], value: unescapeLabel(value) });
  }
  return { name, matchers };
}

function unescapeLabel(text: string): string {
  return text.replace(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char));
}

function passes(matcher: Matcher, labels: ReadonlyMap<string, string>): boolean {
  const found = labels.get(matcher.label) ?? "";
  switch (matcher.op) {
    case "=":
      return found === matcher.value;
    case "!=":
      return found !== matcher.value;
    case "=~":
      return new RegExp(`^(?:${matcher.value})$`).test(found);
    case "!~":
      return !new RegExp(`^(?:${matcher.value})$`).test(found);
  }
}

const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** The sum of the series that match, or `null` if there is none. */
export function sumSeries(page: string, { name, matchers }: Selector): number | null {
  let sum: number | null = null;
  for (const line of page.split("\n")) {
    if (!line.startsWith(name)) continue;
    const rest = line.slice(name.length);
    const brace = rest.startsWith("{");
    if (!brace && !rest.startsWith(" ")) continue;
    const end = brace ? rest.lastIndexOf("}") : 0;
    const labels = new Map<string, string>();
    for (const [, label = "", value = ""] of rest.slice(0, end).matchAll(LABEL)) {
      labels.set(label, unescapeLabel(value));
    }
    if (!matchers.every((matcher) => passes(matcher, labels))) continue;
    sum =
      (sum ?? 0) +
      Number(
        rest
          .slice(brace ? end + 1 : 0)
          .trim()
          .split(" ")[0],
      );
  }
  return sum;
}

/** All series of a gauge together; 0 if there is none. */
export function readGauge(page: string, name: string): number {
  return sumSeries(page, { name, matchers: [] }) ?? 0;
}
