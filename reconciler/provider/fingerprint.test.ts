import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configOf } from "../../test/world/setting.ts";
import type { ProviderConfig } from "../../schema/config.ts";
import { filesOf, fingerprintOf } from "./fingerprint.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-fingerprint-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const providerOf = (setting: string): ProviderConfig => {
  const [provider] = configOf(`providers: { cloud: { ${setting} } }\npools: []\n`).providers;
  if (provider === undefined) throw new Error("no provider");
  return provider;
};

test.each([
  ["type: lambda, api_key_file: FILE"],
  ["type: gcp, credentials_file: FILE"],
  ["type: coreweave, kubeconfig: FILE"],
])("fingerprintOf({ %s }) follows the content of the file, and hides it", (setting) => {
  const path = join(folder, "key");
  rmSync(path, { force: true });
  const provider = providerOf(setting.replace("FILE", path));
  expect(filesOf(provider)).toEqual([path]);
  const missing = fingerprintOf(provider);
  writeFileSync(path, "first-secret");
  const first = fingerprintOf(provider);
  writeFileSync(path, "other-secret");
  const other = fingerprintOf(provider);
  writeFileSync(path, "first-secret");
  expect(new Set([missing, first, other]).size).toBe(3);
  expect(fingerprintOf(provider)).toBe(first);
  expect(first).not.toContain("secret");
});

test("fingerprintOf() ignores ceilings, and reads no pipe", () => {
  const fake = "type: fake, gpu_count: 2";
  const spending = providerOf(`${fake}, spend: { max_instances: 1 }`);
  expect(fingerprintOf(providerOf(fake))).toBe(fingerprintOf(spending));
  expect(fingerprintOf(providerOf("type: fake"))).not.toBe(fingerprintOf(spending));
  const pipe = join(folder, "pipe");
  expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
  expect(fingerprintOf(providerOf(`type: lambda, api_key_file: ${pipe}`))).toContain('"-"');
});
