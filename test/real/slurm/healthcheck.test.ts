/**
 * HealthCheckProgram on a real slurmd and slurmctld: the compiled agent by its link, beside agents
 * with simulated GPUs, one for each node. No control plane is there, so each agent judges itself.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFileSync, chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { agentBinary, type Running, scratch, startAgent } from "../../agent/binary.ts";
import { until } from "../../fixture/plane/plane.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { missesSlurm } from "./package.ts";

const isMissing = await missesSlurm("Slurm's HealthCheckProgram");
const LIMIT_MS = 90_000;
/** The contract's limit; what else runs here may delay a start of a process. */
const ANSWER_MS_MAX = 1_000;

const folder = scratch();
const link = join(folder, "slurm-healthcheck");
const script = join(folder, "healthcheck");
const agents: Running[] = [];
let slurm: SlurmCluster;

const spool = (node: string): string => join(folder, node);
const faults = (node: string): string => join(folder, `${node}.faults`);

function startNode(node: string): void {
  mkdirSync(spool(node));
  writeFileSync(`${spool(node)}.kmsg`, "");
  writeFileSync(faults(node), "{}");
  const names = ["--server", "127.0.0.1:9", "--node-id", node, "--spool", spool(node)];
  const gpus = ["--fake-gpus", "8", "--sim-faults", faults(node)];
  agents.push(startAgent([...names, ...gpus, "--kernel-log", `${spool(node)}.kmsg`]));
}

function injectXid(node: string, code: number): void {
  const line = `NVRM: Xid (PCI:0000:18:00): ${code}, pid=1, name=p, injected`;
  appendFileSync(`${spool(node)}.kmsg`, `3,1,9000000,-;${line}\n`);
}

async function check(node: string): Promise<{ said: string; code: number; ms: number }> {
  const beganMs = performance.now();
  const child = Bun.spawn([link, "--spool", spool(node)], {
    env: { ...slurm.env, SLURMD_NODENAME: node },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [said, code] = await Promise.all([child.stdout.text(), child.exited]);
  return { said: said.trim(), code, ms: performance.now() - beganMs };
}

const reason = async (node: string) => (await slurm.node(node))?.["Reason"] ?? "";
const waitReason = (node: string, want: RegExp, limitMs: number) =>
  until(`${node} has the reason ${want}`, limitMs, async () =>
    want.test(await reason(node)) ? true : null,
  );

describe.skipIf(isMissing)("S46: HealthCheckProgram", () => {
  beforeAll(async () => {
    symlinkSync(agentBinary(), link);
    for (const node of ["n0", "n1", "n2"]) startNode(node);
    // slurmd gives it no SLURM_CONF, and this cluster's is not in the usual place.
    const own = `SLURM_CONF=$(cat ${folder}/conf) exec ${link} --spool ${folder}/$SLURMD_NODENAME`;
    writeFileSync(script, `#!/bin/sh\n${own}\n`);
    chmodSync(script, 0o755);
    const health = [`HealthCheckProgram=${script}`, "HealthCheckInterval=2"];
    slurm = await openSlurm({ nodes: 3, conf: [...health, "HealthCheckNodeState=ANY"] });
    writeFileSync(`${folder}/conf`, slurm.conf);
    for (const node of ["n0", "n1", "n2"]) {
      await until("a verdict", 20_000, async () =>
        (await check(node)).said === "ok (agent)" ? true : null,
      );
    }
  }, LIMIT_MS);
  afterAll(async () => {
    for (const agent of agents) agent.signal("SIGKILL");
    await slurm?.close();
  }, 30_000);

  test(
    "A12: a fault drains its node with the product's reason, a healthy one stays",
    async () => {
      const well = await check("n0");
      expect([well.code, well.said, well.ms < ANSWER_MS_MAX]).toEqual([0, "ok (agent)", true]);
      injectXid("n0", 48);
      await waitReason("n0", /^navarch:node XID48 on GPU 0: /, 10_000);
      expect([await slurm.state("n0"), await slurm.state("n1")]).toEqual(["drained", "idle"]);
      expect((await check("n0")).said).toContain("n0 is IDLE+DRAIN already (navarch:node XID48");
    },
    LIMIT_MS,
  );

  test(
    "A14: a lost GPU is named before Slurm notices",
    async () => {
      writeFileSync(faults("n1"), '{"gpus":{"7":{"missing":true}}}');
      await waitReason("n1", /^navarch:node GPU_COUNT 7<8/, 30_000);
      // Slurm itself still believes in eight of them.
      expect((await slurm.node("n1"))?.["Gres"]).toBe("gpu:h100:8");
      expect(await slurm.state("n1")).toBe("drained");
    },
    LIMIT_MS,
  );

  test(
    "S28: another party's drain keeps its reason, and its undrain is respected",
    async () => {
      await slurm.scontrol("update", "nodename=n2", "state=drain", "reason=maint by alice");
      injectXid("n2", 79);
      await until("the fault", 10_000, async () =>
        (await check("n2")).said.includes("already (maint by alice)") ? true : null,
      );
      await Bun.sleep(3_000);
      expect(await reason("n2")).toStartWith("maint by alice");
      await slurm.scontrol("update", "nodename=n2", "state=undrain");
      await waitReason("n2", /^navarch:node XID79 /, 10_000);
      await slurm.scontrol("update", "nodename=n2", "state=undrain");
      await Bun.sleep(5_000);
      expect([await slurm.state("n2"), (await check("n2")).said]).toEqual([
        "idle",
        expect.stringContaining("undrained by another party: left as it is"),
      ]);
    },
    LIMIT_MS,
  );

  test(
    "S46: a controller that hangs delays no answer and piles nothing up",
    async () => {
      writeFileSync(faults("n2"), '{"gpus":{"3":{"missing":true}}}');
      slurm.room.signal("slurmctld", "SIGSTOP");
      try {
        await until("a new fault", 30_000, async () => {
          const { said } = await check("n2");
          return /not drained: scontrol did not answer within \d+ ms/.test(said) ? true : null;
        });
        const answers = await Promise.all([check("n2"), check("n2"), check("n0")]);
        for (const { code, ms } of answers)
          expect([code, ms < 2 * ANSWER_MS_MAX]).toEqual([0, true]);
        await Bun.sleep(8_000);
        const copies = slurm.room.withEnv("SLURMD_NODENAME=n2").length;
        expect(copies).toBeLessThanOrEqual(2);
      } finally {
        slurm.room.signal("slurmctld", "SIGCONT");
      }
      await waitReason("n2", /^navarch:node GPU_COUNT 7<8/, 20_000);
    },
    LIMIT_MS,
  );

  test(
    "S46: `navarch slurm healthcheck` says the same",
    async () => {
      const main = join(import.meta.dir, "../../../cli/main.ts");
      const argv = ["slurm", "healthcheck", "--spool", spool("n0")];
      const path = `${dirname(agentBinary())}:${slurm.env["PATH"]}`;
      const child = Bun.spawn([process.execPath, main, ...argv], {
        env: { ...slurm.env, PATH: path, SLURMD_NODENAME: "n0", HOME: folder },
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [said, code] = await Promise.all([child.stdout.text(), child.exited]);
      expect([code, said]).toEqual([0, expect.stringContaining("n0 is IDLE+DRAIN already")]);
    },
    LIMIT_MS,
  );
});
