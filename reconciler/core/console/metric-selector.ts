/**
 * Label selectors as Kubernetes writes them in a query: `class=batch,priority in (high,low),!pool`.
 * Pure.
 */
type Labels = Readonly<Record<string, string>>;
type Requirement = { key: string; how: "in" | "notin" | "exists" | "absent"; values: string[] };

export type Selector = readonly Requirement[];

const CHARS_MAX = 4_096;
/** Its last character is a letter or digit, see `KEY_END`. */
const KEY = "[A-Za-z0-9][A-Za-z0-9._/-]*";
const KEY_END = /[A-Za-z0-9]$/;
const VALUE = "[A-Za-z0-9._-]+";
const ONE = new RegExp(
  `^\\s*(?:!\\s*(?<absent>${KEY})` +
    `|(?<set>${KEY})\\s+(?<how>in|notin)\\s*\\((?<values>[A-Za-z0-9._,\\s-]*)\\)` +
    `|(?<key>${KEY})(?:\\s*(?<sign>==?|!=)(?:\\s*(?<value>${VALUE}))?)?)\\s*(?:,|$)`,
);

/** `null`: it is none. Empty text selects everything. */
export function parseSelector(text: string): Selector | null {
  if (text.length > CHARS_MAX) return null;
  const found: Requirement[] = [];
  for (let rest = text; rest.trim() !== "";) {
    const match = ONE.exec(rest);
    if (match?.groups === undefined) return null;
    const requirement = requirementOf(match.groups);
    if (!KEY_END.test(requirement.key)) return null;
    found.push(requirement);
    const isLast = !match[0].endsWith(",");
    rest = rest.slice(match[0].length);
    if (!isLast && rest.trim() === "") return null;
  }
  return found;
}

function requirementOf(groups: Readonly<Record<string, string | undefined>>): Requirement {
  const { absent, set, how, values = "", key = "", sign, value = "" } = groups;
  if (absent !== undefined) return { key: absent, how: "absent", values: [] };
  if (set !== undefined) {
    const all = values.split(",").map((one) => one.trim());
    return { key: set, how: how === "in" ? "in" : "notin", values: all };
  }
  if (sign === undefined) return { key, how: "exists", values: [] };
  return { key, how: sign === "!=" ? "notin" : "in", values: [value] };
}

export function matches(selector: Selector, labels: Labels): boolean {
  return selector.every(({ key, how, values }) => {
    const value = Object.hasOwn(labels, key) ? (labels[key] ?? "") : null;
    if (how === "exists") return value !== null;
    if (how === "absent") return value === null;
    const isIn = value !== null && values.includes(value);
    return how === "in" ? isIn : !isIn;
  });
}
