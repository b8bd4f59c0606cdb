/** The bed of all tests with a real Slurm: it starts, obeys, and leaves nothing. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { until } from "../../fixture/plane/plane.ts";
import { openSlurm } from "./cluster.ts";
import { missesSlurm } from "./package.ts";

const isMissing = await missesSlurm("a real Slurm");
const LIMIT_MS = 120_000;

test.skipIf(isMissing)(
  "nodes are idle, a job gets its GPUs, the machine goes and returns with a new boot",
  async () => {
    const slurm = await openSlurm({ nodes: 2, cloud: 1 });
    const { folder } = slurm;
    const space = readlinkSync(`/proc/${slurm.room.pid("slurmctld")}/ns/pid`);
    try {
      const gpus = await slurm.must("srun", "-w", "n0", "--gres=gpu:2", "--chdir=/", "env");
      expect(gpus).toContain("CUDA_VISIBLE_DEVICES=0,1\n");
      const before = (await slurm.node("n1"))?.["BootTime"];
      const job = await slurm.sbatch(["-w", "n1", "--gres=gpu:8"], "sleep 300");
      await slurm.waitJob(job, "RUNNING");
      expect(await slurm.state("n1")).toMatch(/^(mixed|allocated)$/);
      // It counts as running before its first process is there.
      const processes = () => slurm.room.withEnv("SLURMD_NODENAME=n1").length;
      await until("the job's processes", LIMIT_MS, () => processes() > 0 || null);
      await slurm.killNode("n1");
      expect(slurm.room.withEnv("SLURMD_NODENAME=n1")).toEqual([]);
      slurm.startNode("n1", { isBoot: true });
      await until("a new boot", LIMIT_MS, async () =>
        (await slurm.node("n1"))?.["BootTime"] === before ? null : true,
      );
      await slurm.stopController();
      expect((await slurm.run(["scontrol", "ping"])).stdout).toContain("DOWN");
      await slurm.startController();
      await slurm.waitState("n0", "idle");
    } finally {
      await slurm.close();
    }
    expect(existsSync(folder)).toBe(false);
    const left = readdirSync("/proc").filter((name) => {
      try {
        return /^\d+$/.test(name) && readlinkSync(`/proc/${name}/ns/pid`) === space;
      } catch {
        return false;
      }
    });
    expect(left).toEqual([]);
  },
  LIMIT_MS,
);

test.skipIf(isMissing)(
  "two run side by side, one with accounting, slurmrestd and a cloud node",
  async () => {
    const [one, two] = await Promise.all([
      openSlurm({ isAccounting: true, isRest: true, cloud: 1, conf: ["SuspendTime=2"] }),
      openSlurm({ nodes: ["gpu-a"], gpus: 4 }),
    ]);
    try {
      expect((await two.sinfo("-h", "-o", "%N %G")).trim()).toBe("gpu-a gpu:h100:4");
      const answer = await fetch("http://slurm/slurm/v0.0.38/nodes", { unix: one.restSocket });
      expect(await answer.json()).toMatchObject({ errors: [] });
      const headers = { "X-SLURM-USER-NAME": "root", "X-SLURM-USER-TOKEN": await one.token() };
      const url = `${one.restUrl}/slurm/v0.0.38/ping`;
      expect((await fetch(url, { headers })).status).toBe(200);
      expect((await fetch(url)).status).toBe(401);
      const job = await one.sbatch(["-C", "cloud", "--gres=gpu:8"], "true");
      await one.waitJob(job, "CONFIGURING");
      await until("c0 is resumed", LIMIT_MS, () => one.powered.resumed.length > 0 || null);
      expect(one.powered.resumed).toEqual(["c0"]);
      one.startNode("c0", { isBoot: true });
      await one.waitJob(job, "COMPLETED");
      const accounted = () => one.must("sacct", "-nXj", job, "-o", "state");
      await until("slurmdbd has its end", LIMIT_MS, async () =>
        (await accounted()).includes("COMPLETED") ? true : null,
      );
    } finally {
      await Promise.all([one.close(), two.close()]);
    }
  },
  LIMIT_MS,
);
