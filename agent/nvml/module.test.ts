import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasLinksOff } from "./module.ts";

test.each([
  ["EnableMSI: 1\nNvLinkDisable: 1\nRmProfilingAdminOnly: 1\n", true],
  ["EnableMSI: 1\nNvLinkDisable: 0\nRmProfilingAdminOnly: 1\n", false],
  ["XNvLinkDisable: 1\n", false],
  ["", false],
])("hasLinksOff() of %j", (text, off) => {
  const folder = mkdtempSync(join(tmpdir(), "navarch-module-"));
  writeFileSync(join(folder, "params"), text);
  expect(hasLinksOff(join(folder, "params"))).toBe(off);
  rmSync(folder, { recursive: true });
  expect(hasLinksOff(join(folder, "params"))).toBe(false);
});
