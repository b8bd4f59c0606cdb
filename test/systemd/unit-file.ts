/** Unit files as lists of directives, with whether each is explained. Pure. */

export type Directive = {
  section: string;
  key: string;
  value: string;
  /** Line number, from 1. */
  line: number;
  /** True if the paragraph that it stands in begins with a comment. */
  explained: boolean;
};

/** Paragraphs are separated by empty lines; a section's title belongs to the one below it. */
export function parseUnit(text: string): Directive[] {
  const found: Directive[] = [];
  let section = "";
  let explained = false;
  for (const [at, content] of text.split("\n").entries()) {
    const line = content.trim();
    if (line === "") explained = false;
    else if (line.startsWith("#")) explained = true;
    else if (/^\[\w+\]$/.test(line)) section = line.slice(1, -1);
    else {
      const equals = line.indexOf("=");
      if (equals < 1) throw new Error(`line ${at + 1}: no directive: ${line}`);
      const [key, value] = [line.slice(0, equals), line.slice(equals + 1)];
      found.push({ section, key, value, line: at + 1, explained });
    }
  }
  return found;
}

/** All values of one directive, in their order. */
export function valuesOf(unit: readonly Directive[], key: string): string[] {
  return unit.filter((one) => one.key === key).map(({ value }) => value);
}
