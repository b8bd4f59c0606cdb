/**
 * YAML text → plain values, as a workflow file holds them. Keeps how each scalar of a map was
 * written, so that `1.10` or `0x10` can be read as text; integers beyond 2^53 become `bigint` and
 * lose no digits. Size, depth and aliases are limited. Pure.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type ParsedNode,
  type Range,
} from "yaml";

export type YamlAnswer = { ok: true; value: unknown } | { ok: false; message: string };

const CHARS_MAX = 4 * 1024 * 1024;
/** Values of one file, with those that aliases repeat. */
const VALUES_MAX = 200_000;
const DEPTH_MAX = 64;

const TOO_DEEP = "nested too deeply";
/** In place of the parser's own words, by its code. */
const WHY: Readonly<Record<string, string>> = { MULTIPLE_DOCS: "expected one document" };

const WRITTEN = Symbol("written");

/** The parser looks for a repeated key, and for an alias' anchor, in time that grows squared. */
const OPTIONS = {
  intAsBigInt: true,
  prettyErrors: false,
  uniqueKeys: false,
  logLevel: "error",
} as const;

class Unreadable extends Error {}

export function readYaml(given: string): YamlAnswer {
  if (given.length > CHARS_MAX) return { ok: false, message: "longer than 4 MiB" };
  const text = given.replace(/^\uFEFF/, "");
  const lines = new LineCounter();
  try {
    const document = parseDocument(text, { ...OPTIONS, lineCounter: lines });
    const [error] = document.errors;
    if (error !== undefined) {
      const [first = ""] = error.message.split("\n");
      const line = lines.linePos(error.pos[0]).line;
      const why = WHY[error.code] ?? (/call stack/.test(first) ? TOO_DEEP : first);
      return { ok: false, message: `line ${line}: ${why.slice(0, 200)}` };
    }
    return { ok: true, value: new Growth(lines).grow(document.contents, 0) };
  } catch (cause) {
    if (cause instanceof Unreadable) return { ok: false, message: cause.message };
    // The parser recurses: text that is nested very deeply ends its stack.
    if (cause instanceof RangeError) return { ok: false, message: TOO_DEEP };
    throw cause;
  }
}

/** The scalar of a map that `readYaml` made, as it was written; `null` if it is none. */
export function writtenAs(map: object, key: string): string | null {
  const written: unknown = Reflect.get(map, WRITTEN);
  return written instanceof Map ? (written.get(key) ?? null) : null;
}

class Growth {
  #values = 0;
  readonly #anchors = new Map<string, ParsedNode>();
  readonly #lines: LineCounter;

  constructor(lines: LineCounter) {
    this.#lines = lines;
  }

  grow(node: ParsedNode | null, depth: number): unknown {
    this.#values += 1;
    if (this.#values > VALUES_MAX) throw this.#fail(node, `more than ${VALUES_MAX} values`);
    if (depth > DEPTH_MAX) throw this.#fail(node, `nested more than ${DEPTH_MAX} levels deep`);
    if (node === null) return null;
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source);
      if (target === undefined) throw this.#fail(node, `unknown alias "${node.source}"`);
      return this.grow(target, depth + 1);
    }
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    if (isScalar(node)) return plain(node);
    if (isSeq(node)) return node.items.map((item) => this.grow(item, depth + 1));
    if (!isMap(node)) throw this.#fail(node, "expected a value");
    return this.#growMap(node, depth);
  }

  #growMap(node: ParsedNode, depth: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    const written = new Map<string, string>();
    const own = new Set<string>();
    for (const { key, value } of isMap(node) ? node.items : []) {
      if (!isScalar(key)) throw this.#fail(node, "expected a name as key");
      const name = key.source ?? String(key.value);
      if (name === "__proto__") throw this.#fail(node, '"__proto__" is no usable key');
      // The parser's types lose that a parsed document has parsed nodes alone.
      const child = value as ParsedNode | null;
      if (name === "<<" && key.type === "PLAIN") this.#merge(map, written, child, depth);
      else {
        if (own.has(name)) throw this.#fail(key, `the key "${name}" occurs twice`);
        own.add(name);
        map[name] = this.grow(child, depth + 1);
        if (isScalar(child) && child.value !== null) written.set(name, sourceOf(child));
        else written.delete(name);
      }
    }
    Object.defineProperty(map, WRITTEN, { value: written });
    return map;
  }

  /** A merge key: names that the map does not have itself. */
  #merge(
    map: Record<string, unknown>,
    written: Map<string, string>,
    node: ParsedNode | null,
    depth: number,
  ): void {
    const merged = this.grow(node, depth + 1);
    for (const one of Array.isArray(merged) ? merged : [merged]) {
      if (typeof one !== "object" || one === null || Array.isArray(one)) {
        throw this.#fail(node, "expected a map to merge");
      }
      for (const [name, value] of Object.entries(one)) {
        if (Object.hasOwn(map, name)) continue;
        map[name] = value;
        const source = writtenAs(one, name);
        if (source !== null) written.set(name, source);
      }
    }
  }

  #fail(node: { range?: Range | null } | null, message: string): Unreadable {
    const offset = node?.range?.[0] ?? 0;
    return new Unreadable(`line ${this.#lines.linePos(offset).line}: ${message}`);
  }
}

function sourceOf(node: { value: unknown; source?: string }): string {
  return typeof node.value === "string" ? node.value : (node.source ?? String(node.value));
}

/** `010` stays text: it is 8 in YAML 1.1, as in Go's readers, and 10 in YAML 1.2. */
function plain({ value, source }: { value: unknown; source?: string }): unknown {
  if (typeof value !== "bigint") return value;
  if (source !== undefined && /^[-+]?0\d/.test(source)) return source;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
