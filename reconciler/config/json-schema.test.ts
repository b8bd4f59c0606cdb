/**
 * The JSON Schema beside the reader, judged by ajv: what the reader accepts the schema accepts, and
 * what it refuses for its form the schema refuses.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { Document, isMap, isScalar, isSeq, parse, parseDocument } from "yaml";
import type { Problem } from "../../schema/config.ts";
import { PROVIDER_TYPES, settingsOf } from "../../schema/config/provider.ts";
import { ROOT } from "../../schema/config/root.ts";
import { formatJsonSchema } from "./json-schema.ts";
import { listKeys } from "./key-list.ts";
import { formatProblem } from "./problem.ts";
import { readConfig } from "./read.ts";

// Thousands of generated configurations, beside two other lanes of tests.
setDefaultTimeout(120_000);

const HERE = join(import.meta.dir, "../..");
const validate = new Ajv({ strict: true, allowUnionTypes: true, strictTypes: false }).compile(
  JSON.parse(formatJsonSchema()),
);

/** Why the schema refuses the text; `null` = it accepts it. */
function whyNot(text: string): string | null {
  if (validate(parse(text, { merge: true, logLevel: "silent" }))) return null;
  return (validate.errors ?? []).map((one) => `${one.instancePath} ${one.message}`).join("; ");
}

const errorsOf = (text: string): Problem[] =>
  readConfig([{ name: "f", text }]).problems.filter(({ severity }) => severity === "error");

/** Codes of a value whose form is wrong, and of a key that does not belong. */
const FORM = new Set(["type", "choice", "unknown_field", "misplaced", "text"]);
/** What depends on another key, and the form of one text that the schema has no expression for. */
const isAcross = ({ message }: Problem): boolean =>
  /is no key of source|is not a setting of .* provider|expected NAME=GPUS/.test(message);

function agrees(text: string): void {
  const refused = errorsOf(text);
  const why = whyNot(text);
  const said = refused.map(formatProblem);
  if (refused.length === 0) expect([text, why]).toEqual([text, null]);
  const form = refused.find((one) => FORM.has(one.code) && !isAcross(one));
  if (form !== undefined && why === null) expect([text, why, ...said]).toEqual([text, "refused"]);
}

const yamlIn = (folder: string): string[] =>
  readdirSync(join(HERE, folder))
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => readFileSync(join(HERE, folder, name), "utf8"));

const FIXTURES = yamlIn("test/fixture/config");
/** Every section is in one of them. */
const BROAD = ["canonical", "pair-map"].map((name) =>
  readFileSync(join(HERE, "test/fixture/config", `${name}.yaml`), "utf8"),
);
const VALUES = [
  ...["17", "-1", "0.5", "true", "auto", "null", "text", "30s", "20%", "[]", "[a]", "[1]"],
  ...["[null]", "{}", "{zz: 1}", '"09:30"', "[{type: queue}]"],
];

type Path = (string | number)[];

function pathsOf(text: string): Path[] {
  const found: Path[] = [];
  const walk = (node: unknown, path: Path): void => {
    if (isSeq(node)) node.items.forEach((item, i) => walk(item, [...path, i]));
    if (!isMap(node)) return;
    for (const { key, value } of node.items) {
      if (!isScalar(key)) continue;
      found.push([...path, String(key.value)]);
      walk(value, [...path, String(key.value)]);
    }
  };
  walk(parseDocument(text).contents, []);
  return found;
}

describe("the JSON Schema and the reader agree", () => {
  test("on the fixtures", () => {
    for (const text of FIXTURES) agrees(text);
  });

  test("on the examples of the pages", () => {
    const pages = readdirSync(join(HERE, "docs"), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".md"))
      .map((path) => readFileSync(join(HERE, "docs", path), "utf8"));
    const examples = pages.flatMap((page) =>
      [...page.matchAll(/```ya?ml\n([\s\S]*?)```/g)].map(([, text = ""]) => text),
    );
    const sound = examples.filter((text) => parseDocument(text).errors.length === 0);
    for (const text of sound) agrees(text);
    const taken = sound.filter((text) => errorsOf(text).length === 0);
    expect(taken.length).toBeGreaterThan(15);
  });

  test("on each of the keys, alone", () => {
    for (const [path] of listKeys(ROOT)) {
      const keys = path.replace(/^(pools|agent_pools)\./, "$1[].").split(/\.|(?=\[\])/);
      for (const value of ["17", "text", "[a]", "{}"]) {
        const document = new Document({});
        document.setIn(
          keys.map((key) => (key === "[]" ? 0 : key)),
          parseDocument(value).contents,
        );
        agrees(document.toString());
      }
    }
  });

  test("on the settings of each type of provider", () => {
    for (const type of PROVIDER_TYPES) {
      for (const key of Object.keys(settingsOf(type))) {
        for (const value of ["17", "text", "30s", "[a]", "{}", '""']) {
          agrees(`providers: { x: { type: ${type}, ${key}: ${value} } }`);
        }
      }
    }
  });

  test("on values of each form, a third of them at each key", () => {
    for (const text of BROAD) {
      for (const [index, path] of pathsOf(text).entries()) {
        for (const value of VALUES.filter((_, at) => (at + index) % 3 === 0)) {
          const document = parseDocument(text);
          document.setIn(path, parseDocument(value).contents);
          agrees(document.toString());
        }
      }
    }
  });

  test("on each key misspelled, and at the top level", () => {
    for (const text of BROAD) {
      for (const path of pathsOf(text)) {
        const key = String(path.at(-1));
        for (const place of [[...path.slice(0, -1), `${key}q`], [key]]) {
          const document = parseDocument(text);
          const node: unknown = document.getIn(path, true);
          document.deleteIn(path);
          if (!document.hasIn(place)) document.setIn(place, node);
          agrees(document.toString());
        }
      }
    }
  });
});
