/** The agent takes away the token that it has joined with; the installer does not bring it back. */
import { afterEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bench, openBench, TOKEN } from "./bench.ts";

let open: Bench | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

test("install.sh again with a spent token changes nothing; another token is written", async () => {
  open = await openBench();
  open.release("0.1.0");
  const { root } = open;
  await open.install();
  const file = join(root, "etc/navarch-node/join-token");
  const state = join(root, "var/lib/navarch-node");
  mkdirSync(state, { recursive: true });
  // As agent/report/join.ts notes its request.
  const desired = (done: boolean): string => {
    const token = createHash("sha256").update(TOKEN).digest("hex");
    return JSON.stringify({ token, nonce: "n".repeat(43), done });
  };
  writeFileSync(join(state, "join.json"), desired(true));
  rmSync(file);
  expect((await open.install()).out).toContain("nothing to do");
  expect(existsSync(file)).toBe(false);
  const other = `nvj.${"o".repeat(43)}`;
  await open.install(["--join-token", other]);
  expect(readFileSync(file, "utf8")).toBe(`${other}\n`);
  rmSync(file);
  writeFileSync(join(state, "join.json"), desired(false));
  await open.install();
  expect(readFileSync(file, "utf8")).toBe(`${TOKEN}\n`);
});
