import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../product.ts";
import { checkIntegrity, runtimePackage } from "../foreign.ts";
import { type Lock, formatSbom } from "./sbom.ts";

type Document = {
  serialNumber: string;
  metadata: { timestamp?: string };
  components: { "bom-ref": string; name: string; group?: string; type: string; hashes: unknown }[];
  dependencies: { ref: string; dependsOn: string[] }[];
};
const read = (from: Parameters<typeof formatSbom>[0]): Document => JSON.parse(formatSbom(from));

const DATE = "2026-01-02T03:04:05.000Z";
const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as Lock;
const from = { lock, version: "0.1.0", date: DATE, runtime: runtimePackage("x64") };

describe("formatSbom()", () => {
  test("lists what is in the binaries and nothing that only builds or tests them", () => {
    const { components, dependencies } = read(from);
    const names = components.map(({ group, name }) => (group ? `${group}/${name}` : name));
    for (const name of ["hono", "@libsql/linux-x64-gnu", "@libsql/linux-arm64-gnu", "libsql"])
      expect(names).toContain(name);
    for (const name of ["typescript", "fast-check", "sqld", "@libsql/darwin-arm64", "bun"])
      expect(names).not.toContain(name);
    expect(components.find(({ type }) => type === "platform")?.name).toBe("bun-linux-x64");
    for (const { hashes } of components) {
      expect(hashes).toEqual([
        { alg: "SHA-512", content: expect.stringMatching(/^[0-9a-f]{128}$/) },
      ]);
    }
    // Every arrow ends at something that is listed, and everything listed is reached.
    const refs = new Set(components.map((component) => component["bom-ref"]));
    const pointed = new Set(dependencies.flatMap(({ dependsOn }) => dependsOn));
    expect([...pointed].filter((ref) => !refs.has(ref))).toEqual([]);
    expect([...refs].filter((ref) => !pointed.has(ref))).toEqual([]);
  });

  test("is the same twice, and another one for another version", () => {
    expect(formatSbom(from)).toBe(formatSbom(from));
    expect(read({ ...from, version: "0.2.0" }).serialNumber).not.toBe(read(from).serialNumber);
    expect(read(from).serialNumber).toMatch(
      /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect(read({ ...from, date: "unknown" }).metadata.timestamp).toBeUndefined();
  });

  test("finds the nested version that a package really gets", () => {
    const nested: Lock = {
      packages: {
        "": { version: "1.0.0", dependencies: { a: "*", b: "*" } },
        "node_modules/a": { version: "1.0.0", dependencies: { b: "*" } },
        "node_modules/a/node_modules/b": { version: "2.0.0", dependencies: { c: "*" } },
        "node_modules/b": { version: "1.0.0" },
        "node_modules/c": { version: "1.0.0" },
        "node_modules/run": { version: "9.0.0" },
      },
    };
    const document = read({ ...from, lock: nested, runtime: "node_modules/run" });
    const needs = new Map(document.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
    expect(needs.get("pkg:npm/a@1.0.0")).toEqual(["pkg:npm/b@2.0.0"]);
    expect(needs.get("pkg:npm/b@2.0.0")).toEqual(["pkg:npm/c@1.0.0"]);
    expect(document.components).toHaveLength(5);
    const broken = { packages: { "": { dependencies: { gone: "*" } } } };
    expect(() => formatSbom({ ...from, lock: broken })).toThrow("the root needs gone");
  });
});

describe("checkIntegrity()", () => {
  test("passes the bytes of the lock and no others", () => {
    const good = `sha512-${new Bun.CryptoHasher("sha512").update("archive").digest("base64")}`;
    checkIntegrity(Buffer.from("archive"), good, "x@1");
    expect(() => checkIntegrity(Buffer.from("archivE"), good, "x@1")).toThrow("x@1");
  });
});
