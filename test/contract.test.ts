/**
 * The wire between agents and control planes of different ages. Its schemas are described in a
 * canonical form and hashed; the hash is pinned with the contract's version in `contract.pin.json`,
 * so that nobody changes the wire without seeing that he does. Documents that an older release sent
 * are kept in `fixture/contract/` for ever and must still be understood, field by field.
 *
 * After a change on purpose: `UPDATE=1 npx bun test test/contract.test.ts`, and read the diff.
 */
import { describe, expect, test } from "bun:test";
import { join as joinPath } from "node:path";
import * as v from "valibot";
import * as finding from "../schema/finding.ts";
import * as gpu from "../schema/gpu.ts";
import * as join from "../schema/join.ts";
import { LIMIT } from "../schema/limit.ts";
import * as order from "../schema/order.ts";
import * as report from "../schema/report.ts";

/** What travels between machines. A module added to the wire is added here. */
const WIRE: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  finding,
  gpu,
  /** Only what travels: a token and its uses are the control plane's own. */
  join: { JoinRequest: join.JoinRequest, JoinReply: join.JoinReply },
  order,
  report,
};

/** The version that an agent writes into each report. */
const CONTRACT_VERSION = report.REPORT_VERSION;

const PIN = joinPath(import.meta.dir, "contract.pin.json");
const DOCUMENTS = joinPath(import.meta.dir, "fixture", "contract");

const Pin = v.object({
  contract_version: v.number(),
  /** Over everything below. */
  hash: v.string(),
  /** One for each schema and limit, so that a failure can say what changed. */
  parts: v.record(v.string(), v.string()),
});
type Pin = v.InferOutput<typeof Pin>;

type Schema = v.GenericSchema;
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && "kind" in value && value.kind === "schema";

/**
 * A schema or an action of a pipe, rather than data with a field that happens to be called `kind`.
 */
const isPart = (value: object): boolean =>
  "kind" in value && typeof value.kind === "string" && "~run" in value;

/** Words for people and functions of the library: none of them changes what is accepted. */
const LEFT_OUT = new Set(["message", "expects", "reference", "async", "kind", "~run", "~standard"]);

/**
 * The structure of a schema as plain data with sorted keys. It walks whatever the library put
 * there, so a kind of schema that is new to us is described rather than missed. A function has no
 * structure to compare, only its presence.
 */
function describeValue(value: unknown, above: readonly unknown[] = []): Json {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof RegExp) return String(value);
  if (value instanceof Set) return describeValue([...value], above);
  if (typeof value !== "object") return typeof value;
  if (above.includes(value)) return `recursive ${above.length - above.indexOf(value)}`;
  const path = [...above, value];
  if (Array.isArray(value)) {
    const items = value.map((item) => describeValue(item, path));
    // The order of a picklist means nothing; the order of a union's schemas does.
    return items.every((item) => typeof item === "string") ? items.sort() : items;
  }
  const entries: [string, Json][] = [];
  for (const [key, inner] of Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (isSchema(value) && value.type === "lazy" && key === "getter") {
      entries.push([key, describeValue(inner(), path)]);
    } else if (key === "pipe" && Array.isArray(inner)) {
      // The first member is the schema itself without its pipe: described by the other keys. A
      // title or a description has nothing to run and changes nothing.
      const steps = inner.slice(1).filter(isPart);
      entries.push([key, steps.map((item) => describeValue(item, path))]);
    } else if (!(isPart(value) && LEFT_OUT.has(key))) {
      entries.push([key, describeValue(inner, path)]);
    }
  }
  return Object.fromEntries(entries);
}

function hashOf(value: unknown): string {
  const text = JSON.stringify(describeValue(value));
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}

function pinOf(): Pin {
  const parts: Record<string, string> = { "limit.reportBytesMax": hashOf(LIMIT.reportBytesMax) };
  for (const [file, module] of Object.entries(WIRE)) {
    for (const [name, value] of Object.entries(module).sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (isSchema(value)) parts[`${file}.${name}`] = hashOf(value).slice(0, 16);
    }
  }
  return { contract_version: CONTRACT_VERSION, hash: hashOf(parts), parts };
}

const Document = v.object({ schema: v.string(), document: v.unknown() });

function schemaNamed(name: string): Schema {
  for (const module of Object.values(WIRE)) {
    const found = module[name];
    if (isSchema(found)) return found;
  }
  throw new Error(`no schema ${name} on the wire`);
}

describe("the wire contract", () => {
  test("is the one that is pinned", async () => {
    const now = pinOf();
    const before = v.safeParse(
      Pin,
      await Bun.file(PIN)
        .json()
        .catch(() => null),
    );
    const pinned = before.success ? before.output : { contract_version: 0, hash: "", parts: {} };
    const names = new Set([...Object.keys(pinned.parts), ...Object.keys(now.parts)]);
    const changed = [...names].filter((name) => pinned.parts[name] !== now.parts[name]);
    const isSame = now.hash === pinned.hash && now.contract_version === pinned.contract_version;
    if (isSame) return;
    const what = `The wire contract changed: ${changed.join(", ") || "its version"}.`;
    if (process.env["UPDATE"] === "1" && process.env["CI"] !== "true") {
      await Bun.write(PIN, `${JSON.stringify(now, null, 2)}\n`);
      console.warn(`${what} Pinned again as version ${now.contract_version}.`);
      return;
    }
    throw new Error(
      `${what} If an agent and a control plane of the last release still understand each other, ` +
        "pin it again with UPDATE=1 npx bun test test/contract.test.ts; " +
        "if they do not, raise REPORT_VERSION first and keep a document of the old one.",
    );
  });

  const paths = [...new Bun.Glob("*.json").scanSync({ cwd: DOCUMENTS })].sort();

  test("has documents of the past", () => {
    expect(paths.length).toBeGreaterThan(0);
  });

  test.each(paths)("still understands %s", async (path) => {
    const kept = v.parse(Document, await Bun.file(joinPath(DOCUMENTS, path)).json());
    const result = v.safeParse(schemaNamed(kept.schema), kept.document);
    expect(result.issues?.map((issue) => `${v.getDotPath(issue)}: ${issue.message}`)).toBe(
      undefined,
    );
    // A field that was renamed parses and is lost; so what was said must still be there.
    expect(result.output).toMatchObject(kept.document as object);
  });

  test.each(paths)("understands %s with fields of a newer release in it", async (path) => {
    const kept = v.parse(Document, await Bun.file(joinPath(DOCUMENTS, path)).json());
    const newer = { ...(kept.document as object), of_tomorrow: { deep: [1] } };
    expect(v.safeParse(schemaNamed(kept.schema), newer).success).toBe(true);
  });
});

describe("describeValue()", () => {
  const base = v.object({ a: v.pipe(v.string(), v.maxLength(3)), b: v.picklist(["x", "y"]) });
  const same = (schema: Schema) => hashOf(schema) === hashOf(base);

  test("does not see words for people, the order of fields or of a picklist", () => {
    const a = v.pipe(v.string("must be text"), v.maxLength(3, "too long"), v.description("A."));
    expect(same(v.object({ b: v.picklist(["y", "x"], "pick one"), a }))).toBe(true);
  });

  const a = v.pipe(v.string(), v.maxLength(3));
  const b = v.picklist(["x", "y"]);
  test("sees a change in a field called message beside one called kind", () => {
    const one = v.object({ kind: b, message: v.string() });
    expect(hashOf(one)).not.toBe(hashOf(v.object({ kind: b, message: a })));
  });

  const changes: readonly [string, Schema][] = [
    ["a new field", v.object({ a, b, c: v.optional(v.string()) })],
    ["a missing field", v.object({ a })],
    ["a field called message", v.object({ a, b, message: v.string() })],
    ["fields called kind and message", v.object({ a, b, kind: a, message: b })],
    ["a bound", v.object({ a: v.pipe(v.string(), v.maxLength(4)), b })],
    ["a dropped bound", v.object({ a: v.string(), b })],
    ["a pattern", v.object({ a: v.pipe(v.string(), v.maxLength(3), v.regex(/z/)), b })],
    ["a type", v.object({ a: v.pipe(v.array(v.string()), v.maxLength(3)), b })],
    ["a word of a picklist", v.object({ a, b: v.picklist(["x", "y", "z"]) })],
    ["nullable", v.object({ a: v.nullish(a), b })],
    ["a default", v.object({ a: v.nullish(a, "q"), b })],
    ["strictness", v.strictObject({ a, b })],
    ["a brand", v.object({ a: v.pipe(v.string(), v.maxLength(3), v.brand("A")), b })],
  ];
  test.each(changes)("sees %s", (_what, schema) => {
    expect(same(schema)).toBe(false);
  });

  test("ends on a schema that contains itself, and still sees inside it", () => {
    type Tree = { leaf: string; next: Tree | null };
    const tree = (leaf: v.GenericSchema<string>): v.GenericSchema<Tree> => {
      const self: v.GenericSchema<Tree> = v.object({ leaf, next: v.nullable(v.lazy(() => self)) });
      return self;
    };
    expect(hashOf(tree(v.string()))).toBe(hashOf(tree(v.string())));
    expect(hashOf(tree(v.string()))).not.toBe(hashOf(tree(v.pipe(v.string(), v.minLength(1)))));
  });
});
