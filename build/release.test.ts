import { describe, expect, test } from "bun:test";
import { ROOT } from "./product.ts";

const run = (...args: string[]) => {
  const command = [process.execPath, "run", "build/release.ts", ...args];
  const { exitCode, stderr } = Bun.spawnSync(command, { cwd: ROOT, stdin: "ignore" });
  return { exitCode, said: stderr.toString() };
};

describe("npm run release", () => {
  test("names the flag that makes no sense, and builds nothing", () => {
    const wrong = run("--only", "mips");
    expect(wrong.exitCode).toBe(2);
    expect(wrong.said).toContain('--only: expected x64 or arm64, found "mips"');
    expect(run("--sign").exitCode).toBe(2);
  });
});
