/**
 * `slurm-healthcheck` as slurmd runs it: the compiled agent by a link of that name, without an
 * agent, with one, and with an `scontrol` that hangs. With a real controller:
 * test/real/slurm/healthcheck.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFileSync, chmodSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LAST_VERDICT_FILE } from "../../schema/last-verdict.ts";
import { agentBinary, type Running, scratch, startAgent } from "./binary.ts";
import { until } from "./control-plane.ts";

/** The contract: less than a second; the machine of the tests is busy with others. */
const MS_MAX = 1_000;
const folder = scratch();
const link = join(folder, "slurm-healthcheck");
let agent: Running;
const spool = scratch();
const log = join(folder, "kmsg");

beforeAll(async () => {
  symlinkSync(agentBinary(), link);
  writeFileSync(log, "");
  const flags = ["--server", "127.0.0.1:9", "--node-id", "n0", "--spool", spool];
  agent = startAgent([...flags, "--fake-gpus", "8", "--kernel-log", log]);
  await until("a verdict", () => check().said === "ok (agent)", 10_000);
});
afterAll(() => agent.signal("SIGKILL"));

/** An `scontrol` that begins with `script`; `null` is a machine without one. */
function check(script: string | null = null, env: Record<string, string> = {}, at = spool) {
  const bin = scratch();
  if (script !== null) {
    writeFileSync(join(bin, "scontrol"), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, "scontrol"), 0o755);
  }
  const beganMs = performance.now();
  const child = Bun.spawnSync([link, "--spool", at], {
    cwd: "/",
    env: { SLURMD_NODENAME: "n0", PATH: `${bin}:/bin`, ...env },
  });
  const ms = performance.now() - beganMs;
  return { said: child.stdout.toString().trim(), code: child.exitCode, ms };
}

describe("S46: slurm-healthcheck", () => {
  test("A12: answers within a second, and costs no scontrol while the node is well", () => {
    const well = check("echo called; exit 1");
    expect([well.said, well.code]).toEqual(["ok (agent)", 0]);
    expect(well.ms).toBeLessThan(MS_MAX);
  });

  test("S46: reports an agent that is absent or silent, and takes neither for a fault", () => {
    const none = check(null, {}, scratch());
    expect([none.code, none.said.startsWith("no verdict: the agent has none in ")]).toEqual([
      0,
      true,
    ]);
    const old = scratch();
    Bun.spawnSync(["cp", join(spool, LAST_VERDICT_FILE), old]);
    utimesSync(join(old, LAST_VERDICT_FILE), 1, 1);
    expect(check(null, {}, old).said).toContain("more than 60 s");
    writeFileSync(join(old, LAST_VERDICT_FILE), '{"version": 2');
    expect(check(null, {}, old).said).toContain("of another version");
  });

  test("S46: an scontrol that hangs or fails ends in time, and no copy is left", async () => {
    appendFileSync(log, "3,1,2000000,-;NVRM: Xid (PCI:0000:18:00): 48, pid=1, name=p, DBE\n");
    await until("the fault", () => check().said.startsWith("XID48 "), 10_000);
    const mark = `97${process.pid}`;
    const hung = Array.from({ length: 3 }, () => check(`exec sleep ${mark}`));
    for (const { said, code, ms } of hung) {
      expect(said).toMatch(/^XID48 .*; n0 not drained: scontrol did not answer within \d+ ms$/);
      expect([code, ms < MS_MAX + 500]).toEqual([0, true]);
    }
    const left = Bun.spawnSync(["pgrep", "-f", `sleep ${mark}`]).stdout.toString();
    expect(left).toBe("");
    const refused = check("echo 'slurm_load_node error: Invalid user id' >&2; exit 1");
    expect(refused.said).toContain("exited with 1: slurm_load_node error: Invalid user id");
    expect(check("echo garbage").said).toContain("its state cannot be read");
    expect(check(null).said).toContain("n0 not drained");
  });

  test("S46: drains one node only, the one that slurmd names", () => {
    const script = 'exit 1; echo "NodeName=n State=IDLE "';
    const names = ["", "n[0-7]", "n0,n1", "ALL nodename=n1", "-a"];
    const answers = names.map((name) => check(script, { SLURMD_NODENAME: name }).said);
    for (const said of answers) expect(said).toContain("; not drained: SLURMD_NODENAME ");
  });
});
