/**
 * The canonical example with one thing wrong at a time: every key deleted, misspelled and given a
 * value of another type. Each mutant must be blamed at the right path and line with a useful hint.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { formatProblem } from "./problem.ts";
import { readConfig } from "./read.ts";

// Thousands of generated configurations, beside two other lanes of tests.
setDefaultTimeout(60_000);

const TEXT = readFileSync(
  join(import.meta.dir, "../../test/fixture/config/canonical.yaml"),
  "utf8",
);

type Site = {
  path: string;
  parent: string;
  key: string;
  line: number;
  /** Offsets of the key and of its value. */
  keyAt: [number, number];
  valueAt: [number, number];
  valueLine: number;
  kind: "map" | "list" | "scalar";
};

function sites(): Site[] {
  const lines = new LineCounter();
  const found: Site[] = [];
  const walk = (node: unknown, path: string) => {
    if (isSeq(node)) node.items.forEach((item, i) => walk(item, `${path}[${i}]`));
    if (!isMap(node)) return;
    for (const pair of node.items) {
      const key = pair.key as Node;
      const value = pair.value as Node;
      if (!isScalar(key) || !key.range || !value.range) throw new Error("no range");
      const name = String(key.value);
      const own = path === "" ? name : `${path}.${name}`;
      found.push({
        path: own,
        parent: path,
        key: name,
        line: lines.linePos(key.range[0]).line,
        keyAt: [key.range[0], key.range[1]],
        valueAt: [value.range[0], value.range[1]],
        valueLine: lines.linePos(value.range[0]).line,
        kind: isMap(value) ? "map" : isSeq(value) ? "list" : "scalar",
      });
      walk(value, own);
    }
  };
  walk(parseDocument(TEXT, { lineCounter: lines }).contents, "");
  return found;
}

const SITES = sites();
/** Keys that a person chooses: there is no right spelling. */
const FREE =
  /^(providers\.(lambda|gcp-us|fake)|.*\.labels\.(team|workload)|.*headers\.Authorization)$/;

function splice([from, to]: [number, number], by: string): string {
  return TEXT.slice(0, from) + by + TEXT.slice(to);
}

function errors(text: string) {
  return readConfig([{ name: "f", text }]).problems.filter((one) => one.severity === "error");
}

describe("readConfig() on mutants of the canonical example", () => {
  test("walks an example that is sound and has many keys", () => {
    expect(errors(TEXT).map(formatProblem)).toEqual([]);
    expect(SITES.length).toBeGreaterThan(140);
  });

  test("names the right spelling of every misspelled key", () => {
    for (const site of SITES.filter((one) => !FREE.test(one.path))) {
      const middle = Math.ceil(site.key.length / 2);
      const wrong = `${site.key.slice(0, middle)}q${site.key.slice(middle)}`;
      const found = errors(splice(site.keyAt, wrong));
      const path = site.parent === "" ? wrong : `${site.parent}.${wrong}`;
      const blamed = found.find((one) => one.path === path);
      expect([site.path, blamed?.line, blamed?.hint]).toEqual([
        site.path,
        site.line,
        `did you mean "${site.key}"?`,
      ]);
    }
  });

  test("blames every value of another type at its own path and line", () => {
    for (const site of SITES) {
      // Pools may be a list or a mapping, so only a scalar is of another type.
      const other = site.path === "pools" ? "17" : site.kind === "map" ? "[1]" : "{zz: 1}";
      const found = errors(splice(site.valueAt, site.kind === "scalar" ? other : `${other}\n`));
      const blamed = found.find((one) => one.path === site.path);
      expect([site.path, blamed?.line]).toEqual([site.path, site.valueLine]);
    }
  });

  test("says what to write where text, a number or a duration was given as another", () => {
    for (const site of SITES.filter((one) => one.kind === "scalar")) {
      const was = TEXT.slice(...site.valueAt);
      const isNumber = /^\d+(\.\d+)?$/.test(was);
      const found = errors(splice(site.valueAt, isNumber ? `"${was}"` : "17"));
      const blamed = found.find((one) => one.path === site.path);
      if (/max_unavailable$|max_nodes$|hour$/.test(site.path) && !isNumber) continue;
      if (/_hour$/.test(site.key)) expect(blamed?.hint).toContain('"09:30"');
      else if (site.path.endsWith("health.max_unavailable")) expect(blamed?.hint).toContain("20%");
      else if (isNumber) expect(blamed?.hint).toBe(`write ${was} without quotes`);
      else if (/^\d+(ms|s|m|h)$/.test(was)) expect(blamed?.hint).toBe("write 17s");
      else if (/^(true|false)$/.test(was)) expect(blamed?.message).toContain("true or false");
      else expect(blamed?.hint).toBe('write "17"');
    }
  });

  test("says which deleted keys were needed, and does without the others", () => {
    const needed = new Map([
      ["server.tls.cert_file", "server.tls.cert_file"],
      ["server.tls.key_file", "server.tls.key_file"],
      ["providers.gcp-us.type", "providers.gcp-us.type"],
      ["pools[0].name", "pools[0].name"],
      ["pools[1].name", "pools[1].name"],
      ["pools[0].provider", 'pools[0] "training"'],
      ["pools[1].providers", 'pools[1] "anywhere"'],
      ["pools[0].instance_type", "pools[0].instance_type"],
      ["pools[1].instance_type", "pools[1].instance_type"],
      ["pools[0].scaling", "pools[0].scaling"],
      ["pools[1].scaling", "pools[1].scaling"],
    ]);
    for (const { path } of SITES) {
      if (/scaling\.(min|max)_nodes$|autoscaler(s\[\d\])?\.type$/.test(path))
        needed.set(path, path);
      if (/autoscalers$|schedule$|_hour$|fallback\.type$/.test(path)) needed.set(path, path);
      if (/schedule\[0\]\.(min|max)_nodes$|providers\[\d\]\.name$/.test(path))
        needed.set(path, path);
    }
    // Pools that name it, and say nothing else about where it is, cannot do without the definition.
    needed.set("providers", "pools[1].providers[1].name");
    needed.set("providers.gcp-us", "pools[1].providers[1].name");
    for (const site of SITES) {
      const document = parseDocument(TEXT);
      const steps = site.path.split(/[.[\]]+/).filter((step) => step !== "");
      document.deleteIn(steps.map((step) => (/^\d+$/.test(step) ? Number(step) : step)));
      const found = errors(document.toString());
      const wanted = needed.get(site.path);
      const seen = found.map((one) => one.path);
      if (wanted === undefined) expect([site.path, seen]).toEqual([site.path, []]);
      else expect([site.path, seen]).toEqual([site.path, expect.arrayContaining([wanted])]);
    }
  });
});
