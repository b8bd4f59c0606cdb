/** The programs by each shell that a machine may have as /bin/sh. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLAIM, RUN } from "./script.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-script-"));
afterAll(() => rmSync(folder, { recursive: true }));

const SHELLS = ["dash", "bash", "busybox sh"].filter((shell) => {
  return Bun.which(shell.split(" ")[0] ?? "") !== null;
});

test.each(SHELLS)("RUN says of a killed command what that said itself (%s)", (shell) => {
  const words = shell.split(" ");
  const run = (program: string, args: string[], stdin = "") => {
    const line = [...words, "-c", program.trim(), "navarch", ...args];
    const { exitCode, stdout, stderr } = Bun.spawnSync(line, { stdin: Buffer.from(stdin) });
    return { exitCode, out: stdout.toString(), err: stderr.toString() };
  };
  const instance = join(folder, `${words.join("-")} i`);
  const claimed = run(CLAIM, [instance, "1", "1", "f", "resume"]);
  const fence = claimed.out.trim().replace(/^fence /, "");
  const command = "echo out of memory >&2; kill -9 $$\n";
  const args = [instance, fence, "f", "00", "sh", String(command.length)];
  const { exitCode, err } = run(RUN, args, command);
  expect({ exitCode, err }).toEqual({ exitCode: 137, err: "out of memory\n" });
});
