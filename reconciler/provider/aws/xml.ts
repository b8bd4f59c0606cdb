/**
 * Reads the XML of AWS's replies: elements and text, nothing else. Strict, because a reply that was
 * cut off must not read as a shorter list. Pure.
 */
export type Xml = { name: string; text: string; children: Xml[] };

const DEPTH_MAX = 64;
const NAME = "[A-Za-z_][\\w.:-]*";
const OPEN = new RegExp(`<(${NAME})(?:\\s+${NAME}\\s*=\\s*(?:"[^"<]*"|'[^'<]*'))*\\s*(/?)>`, "y");
const CLOSE = new RegExp(`</(${NAME})\\s*>`, "y");
const TEXT = /[^<]+/y;
const SKIPPED = /<\?[^?]*\?>|<!--(?:[^-]|-[^-])*-->/y;
const ENTITY = /&(?:(amp|lt|gt|quot|apos)|#(\d{1,7})|#x([0-9A-Fa-f]{1,6}));|&/g;
const NAMED = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** The root element, or `null` where the text is not one well-formed element. */
export function parseXml(source: string): Xml | null {
  const top: Xml = { name: "", text: "", children: [] };
  const open = [top];
  let at = source.startsWith("\ufeff") ? 1 : 0;
  const take = (shape: RegExp): RegExpExecArray | null => {
    shape.lastIndex = at;
    const found = shape.exec(source);
    if (found !== null) at = shape.lastIndex;
    return found;
  };
  while (at < source.length) {
    const here = open.at(-1);
    if (here === undefined) return null;
    if (take(SKIPPED) !== null) continue;
    const text = take(TEXT);
    if (text !== null) {
      const plain = plainOf(text[0]);
      if (plain === null) return null;
      here.text += plain;
      continue;
    }
    const close = take(CLOSE);
    if (close !== null) {
      if (open.length === 1 || close[1] !== here.name) return null;
      // Between elements there is only white space.
      if (here.children.length > 0) here.text = "";
      open.pop();
      continue;
    }
    const begin = take(OPEN);
    if (begin === null || open.length > DEPTH_MAX) return null;
    const element: Xml = { name: begin[1] ?? "", text: "", children: [] };
    here.children.push(element);
    if (begin[2] !== "/") open.push(element);
  }
  const [root, ...more] = top.children;
  const isWhole = open.length === 1 && more.length === 0 && top.text.trim() === "";
  return isWhole ? (root ?? null) : null;
}

function plainOf(text: string): string | null {
  let isSound = true;
  type Name = keyof typeof NAMED | undefined;
  const plain = text.replaceAll(ENTITY, (all, name: Name, dec?: string, hex?: string) => {
    if (name !== undefined) return NAMED[name];
    const code = dec === undefined ? Number.parseInt(hex ?? "", 16) : Number(dec);
    if (all !== "&" && code > 0 && code <= 0x10ffff) return String.fromCodePoint(code);
    isSound = false;
    return "";
  });
  return isSound ? plain : null;
}

/** The first element below, one name a level. */
export function find(xml: Xml | undefined, ...path: string[]): Xml | undefined {
  return path.reduce<Xml | undefined>(
    (here, name) => here?.children.find((child) => child.name === name),
    xml,
  );
}

/** Its text; `null` = absent or empty. */
export function textAt(xml: Xml | undefined, ...path: string[]): string | null {
  const text = find(xml, ...path)?.text ?? "";
  return text === "" ? null : text;
}

/** The entries of a list. */
export function itemsAt(xml: Xml | undefined, ...path: string[]): Xml[] {
  return find(xml, ...path)?.children.filter(({ name }) => name === "item") ?? [];
}
