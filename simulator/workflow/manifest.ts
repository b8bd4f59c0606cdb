/**
 * A rendered manifest → an object for the API server. YAML is read as Kubernetes' tools read it:
 * `yes`, `no`, `on`, `off` are booleans, dates and `12:30` are text, and an integer keeps its
 * digits, also above 2^53. Pure.
 */
import { parseAllDocuments, type Tags } from "yaml";
import { TaskError } from "./task.ts";

export type Manifest = { [key: string]: unknown };

const CHARS_MAX = 4 * 1024 * 1024;
/** The API server refuses more (k8s.io/apimachinery pkg/util/json, 10,000, of JSON). */
const DEPTH_MAX = 200;

/** Of YAML 1.1, what gopkg.in/yaml.v2 does not resolve, or in its own way. */
const REPLACED = /:(timestamp|binary|omap|pairs|set|int|float)$/;

const INTEGER = /^[-+]?(?:0[bB][01]+|0[oO][0-7]+|0[xX][\da-fA-F]+|0[0-7]*|[1-9]\d*)$/;
const FLOAT = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/;
const INFINITE = /^(?:([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;

/** Numbers as yaml.v2 has them, on which sigs.k8s.io/yaml is built: `010` is 8, `08` is 8. */
function readNumber(text: string): bigint | number | string {
  const plain = text.startsWith(".") ? text : text.replaceAll("_", "");
  const infinite = INFINITE.exec(text);
  if (infinite !== null) return infinite[1] === undefined ? Number.NaN : Infinity;
  if (INTEGER.test(plain)) {
    const digits = plain.replace(/^[-+]/, "").replace(/^0(?=\d)/, "0o");
    const size = BigInt(digits.toLowerCase());
    return plain.startsWith("-") ? -size : size;
  }
  const float = FLOAT.test(plain) ? Number(plain) : Number.NaN;
  return Number.isFinite(float) ? float : text;
}

const customTags = (tags: Tags): Tags => [
  ...tags.filter((tag) => typeof tag === "string" || !REPLACED.test(tag.tag)),
  { tag: "tag:yaml.org,2002:float", default: true, test: /^[-+.\d]/, resolve: readNumber },
];

const OPTIONS = {
  version: "1.1",
  intAsBigInt: true,
  prettyErrors: false,
  logLevel: "error",
  customTags,
} as const;

/** Throws `TaskError` with the line. */
export function readManifest(text: string): Manifest {
  if (text.length > CHARS_MAX) throw new TaskError("the manifest is longer than 4 MiB");
  const value = parse(text);
  if (!isMap(value)) throw new TaskError("the manifest is no map");
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, toJson(one, 1)]));
}

function parse(text: string): unknown {
  try {
    const [document, second] = parseAllDocuments(text, OPTIONS);
    if (document === undefined || !("errors" in document)) return null;
    const [error] = document.errors;
    if (error !== undefined) {
      const line = text.slice(0, error.pos[0]).split("\n").length;
      throw new TaskError(`line ${line}: ${error.message.split("\n")[0] ?? ""}`);
    }
    if (second !== undefined) throw new TaskError("the manifest is more than one document");
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    if (cause instanceof TaskError) throw cause;
    throw new TaskError(cause instanceof Error ? cause.message : String(cause));
  }
}

export const isMap = (value: unknown): value is Manifest =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `JSON.stringify` writes the text as it is (ECMAScript proposal json-parse-with-source). */
const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown };

/** What JSON can hold. An integer beyond 2^53 becomes its digits. */
export function toJson(value: unknown, depth = 0): unknown {
  if (depth > DEPTH_MAX) throw new TaskError(`nested more than ${DEPTH_MAX} levels deep`);
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : rawJSON(value.toString());
  }
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new TaskError(`${value} is no number of JSON`);
  }
  if (Array.isArray(value)) return value.map((item) => toJson(item, depth + 1));
  if (!isMap(value)) return value;
  const entries = Object.entries(value);
  return Object.fromEntries(entries.map(([key, one]) => [key, toJson(one, depth + 1)]));
}
