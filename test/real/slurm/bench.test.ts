/** `navarch slurm bench` from its entry on a real Slurm. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { missesSlurm } from "./package.ts";

const isMissing = await missesSlurm("navarch slurm bench");
const LIMIT_MS = 150_000;
const MAIN = join(import.meta.dir, "../../../cli/main.ts");

let slurm: SlurmCluster;

const start = (...more: readonly string[]) =>
  Bun.spawn([process.execPath, MAIN, "slurm", "bench", ...more], {
    env: { ...slurm.env, HOME: slurm.folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
async function bench(...more: readonly string[]) {
  const child = start(...more);
  const read = [child.stdout.text(), child.stderr.text()] as const;
  const [out, err, code] = await Promise.all([...read, child.exited]);
  return { out, err, code };
}

describe.skipIf(isMissing)("S55: navarch slurm bench", () => {
  beforeAll(async () => {
    slurm = await openSlurm({ nodes: 2, cpus: 16 });
  }, LIMIT_MS);
  afterAll(() => slurm?.close());

  test(
    "A16: measures submission, start and drain, and leaves the cluster as it was",
    async () => {
      const ran = await bench("--jobs", "200", "--drain-node", "n0", "-o", "json");
      expect([ran.code, ran.err]).toEqual([0, ""]);
      const result = JSON.parse(ran.out);
      if (process.env["VERBOSE"]) console.log(result);
      expect(result).toMatchObject({ jobs: 200, failed: 0 });
      expect(result.submit_per_s).toBeGreaterThan(5);
      expect(result.start_p50_ms).toBeGreaterThan(0);
      expect(result.start_p99_ms).toBeGreaterThanOrEqual(result.start_p50_ms);
      expect(result.drain_p99_ms).toBeGreaterThan(0);
      expect([await slurm.state("n0"), await slurm.state("n1")]).toEqual(["idle", "idle"]);
      const states = (await slurm.must("squeue", "-h", "-t", "all", "-o", "%T")).trim().split("\n");
      expect([states.length, new Set(states)]).toEqual([200, new Set(["COMPLETED"])]);
    },
    LIMIT_MS,
  );

  test(
    "S28: a node that another party drained is not touched, and a job that cannot run is cancelled",
    async () => {
      await slurm.scontrol("update", "nodename=n1", "state=drain", "reason=maint by alice");
      const foreign = await bench("--jobs", "1", "--drain-node", "n1");
      expect([foreign.code, foreign.err]).toEqual([1, expect.stringContaining("n1 is drained")]);
      expect((await slurm.node("n1"))?.["Reason"]).toStartWith("maint by alice");
      await slurm.scontrol("update", "nodename=n0", "state=drain", "reason=maint by alice");
      const stuck = await bench("--jobs", "3", "--limit", "3s");
      expect([stuck.code, stuck.err]).toEqual([1, expect.stringContaining("within 3 s")]);
      expect(await slurm.must("squeue", "-h", "-t", "pending,running")).toBe("");
      const child = start("--jobs", "3");
      await Bun.sleep(3_000);
      child.kill("SIGINT");
      expect(await child.exited).toBe(130);
      expect(await slurm.must("squeue", "-h", "-t", "pending,running")).toBe("");
      await slurm.scontrol("update", "nodename=n[0-1]", "state=undrain");
    },
    LIMIT_MS,
  );

  test("S55: refuses what is no number and no name", async () => {
    for (const words of [
      ["--jobs", "0"],
      ["--jobs", "1e9"],
      ["--drain-node", "n[0-1]"],
    ]) {
      expect((await bench(...words)).code).toBe(2);
    }
  });
});
