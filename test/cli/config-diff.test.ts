/** `navarch config diff`: each status other than 0 says what it is about. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConfigDiffView } from "../../schema/api-config.ts";
import { navarch } from "./spawn.ts";
import { openStub, TOKEN } from "./stub.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-diff-"));
const stub = openStub();
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await stub.close();
});
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const empty = file("empty.yaml", "");
const old = file("old.yaml", "server: {address: 127.0.0.1:1}\n");
const policy = file("policy.yaml", "server: {address: 127.0.0.1:1, health_policy_path: /p}\n");
const LACKS = "config diff --from needs <file>…, what is new (see navarch help config diff)";

test.each([
  ["an empty file", empty],
  ["a file", old],
  ["a file that is not there", join(folder, "none.yaml")],
])("--from with %s alone says that the changed file is missing", async (_, from) => {
  expect(await navarch(["config", "diff", "--from", from])).toEqual({
    code: 2,
    out: "",
    err: `error: ${LACKS}\n`,
  });
});

test("--from with both says the difference, and --exit-code tells it from none", async () => {
  const gate = (from: string, to: string) =>
    navarch(["config", "diff", "--exit-code", "-o", "name", "--from", from, to]);
  expect(await gate(old, old)).toEqual({ code: 0, out: "", err: "" });
  const differs = { code: 1, out: "server.health_policy_path\n", err: "" };
  expect(await gate(old, policy)).toEqual(differs);
  expect((await gate(join(folder, "none.yaml"), old)).err).toContain("none.yaml");
});

test("-o name names the key of a health policy whose file alone differs", async () => {
  const same = { hash: "a", next: "a", changes: [], effects: [], restart: [], refused: [] };
  const view: ConfigDiffView = { ...same, refused_always: [], policy: { before: "1", after: "2" } };
  stub.broken = { status: 200, body: JSON.stringify(view) };
  const env = { NAVARCH_SERVER: stub.url, NAVARCH_AUTH_TOKEN: TOKEN };
  const gate = await navarch(["config", "diff", "--exit-code", "-o", "name"], env);
  expect(gate).toEqual({ code: 1, out: "server.health_policy_path\n", err: "" });
});
