/**
 * The argument of `-workflow`: a comma list of files and folders with brace expansion, as the files
 * it names. Pure.
 */

export type ListAnswer = { ok: true; items: string[] } | { ok: false; message: string };

/** `a/{x,y}/{p,q}.yaml` are four files, but braces within braces may multiply without end. */
const ITEMS_MAX = 10_000;

/** Items in order, trimmed; a comma within braces separates alternatives, not items. */
export function expandList(list: string): ListAnswer {
  const split = splitTop(list);
  if (split === null) return { ok: false, message: `unbalanced braces in "${list}"` };
  const items: string[] = [];
  for (const item of split.map((one) => one.trim()).filter((one) => one !== "")) {
    const expanded = expand(item);
    if (expanded === null || items.length + expanded.length > ITEMS_MAX) {
      return { ok: false, message: `more than ${ITEMS_MAX} files in "${item.slice(0, 80)}"` };
    }
    items.push(...expanded);
  }
  return items.length === 0 ? { ok: false, message: "empty filepaths" } : { ok: true, items };
}

/** At the commas outside of braces; `null` if braces do not pair. */
function splitTop(text: string): string[] | null {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if (sign === "{") depth += 1;
    else if (sign === "}") depth -= 1;
    else if (sign === "," && depth === 0) {
      parts.push(text.slice(from, at));
      from = at + 1;
    }
    if (depth < 0) return null;
  }
  return depth === 0 ? [...parts, text.slice(from)] : null;
}

/** Left to right; alternatives are trimmed and may hold braces. `null`: too many. */
function expand(item: string): string[] | null {
  const start = item.indexOf("{");
  if (start < 0) return [item];
  const end = closing(item, start);
  const [head, tail] = [item.slice(0, start), item.slice(end + 1)];
  const rests = expand(tail);
  const alternatives = splitTop(item.slice(start + 1, end)) ?? [];
  const found: string[] = [];
  for (const alternative of alternatives) {
    const middles = expand(alternative.trim());
    if (middles === null || rests === null) return null;
    if (found.length + middles.length * rests.length > ITEMS_MAX) return null;
    for (const middle of middles) found.push(...rests.map((rest) => `${head}${middle}${rest}`));
  }
  return found;
}

function closing(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    if (text[at] === "{") depth += 1;
    if (text[at] === "}") depth -= 1;
    if (depth === 0) return at;
  }
  return text.length;
}
