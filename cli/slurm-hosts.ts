/** Expands the hostlists of an inventory: `gpu-[1-3,07-09]` is six names. Pure. */

/** Names of one list; the limit of nodes is checked later, over all lists. */
const NAMES_MAX = 65_536;

/** Each name once, in order; a text says what is wrong. */
export function expandHosts(text: string): string[] | string {
  const names: string[] = [];
  for (const part of splitOutside(text)) {
    const expanded = expandPart(part.trim());
    if (typeof expanded === "string") return expanded;
    names.push(...expanded);
    if (names.length > NAMES_MAX) return `has more than ${NAMES_MAX} names`;
  }
  return names;
}

/** At commas that are outside brackets. */
const splitOutside = (text: string): string[] => text.split(/,(?![^[\]]*\])/);

function expandPart(part: string): string[] | string {
  const found = /^([^[\]]*)\[([^[\]]*)\](.*)$/.exec(part);
  if (found === null) {
    if (part === "") return "has an empty name";
    return /[[\]]/.test(part) ? `${JSON.stringify(part)} has an unpaired bracket` : [part];
  }
  const [, head = "", ranges = "", rest = ""] = found;
  const tails = rest === "" ? [""] : expandPart(rest);
  if (typeof tails === "string") return tails;
  const names: string[] = [];
  for (const range of ranges.split(",")) {
    const [, first = "", last = first] = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(range.trim()) ?? [];
    if (first === "") return `${JSON.stringify(range)} is not a number or a range as 0-7`;
    const count = Number(last) - Number(first) + 1;
    if (count < 1) return `the range ${range} runs backwards`;
    if (names.length + count * tails.length > NAMES_MAX) return `has more than ${NAMES_MAX} names`;
    for (let n = 0; n < count; n += 1) {
      const digits = String(Number(first) + n).padStart(first.length, "0");
      names.push(...tails.map((tail) => `${head}${digits}${tail}`));
    }
  }
  return names;
}
