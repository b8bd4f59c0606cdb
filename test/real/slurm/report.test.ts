/** `navarch slurm report` over the accounting of a real slurmdbd. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { until } from "../../fixture/plane/plane.ts";
import { openSlurm } from "./cluster.ts";
import { missesSlurm } from "./package.ts";

const isMissing = await missesSlurm("navarch slurm report");
const MAIN = join(import.meta.dir, "../../../cli/main.ts");

test.skipIf(isMissing)(
  "S44: tells drains and losses by reason, with the jobs that a node took with it",
  async () => {
    await using slurm = await openSlurm({ nodes: 3, isAccounting: true });
    const report = async () => {
      const argv = [process.execPath, MAIN, "slurm", "report", "--since", "1h", "-o", "json"];
      // Far from UTC: Slurm prints local time.
      const child = Bun.spawn(argv, {
        env: { ...slurm.env, HOME: slurm.folder, TZ: "America/Los_Angeles" },
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [out, code] = await Promise.all([child.stdout.text(), child.exited]);
      expect(code).toBe(0);
      return JSON.parse(out);
    };
    const job = await slurm.sbatch(["-w", "n1", "--gres=gpu:8"], "sleep 300");
    await slurm.waitJob(job, "RUNNING");
    await slurm.scontrol("update", "nodename=n0", "state=drain", "reason=navarch:s1 XID79 a|b");
    await Bun.sleep(3_000);
    await slurm.scontrol("update", "nodename=n0", "state=undrain");
    await slurm.scontrol("update", "nodename=n1", "state=down", "reason=maint by alice");
    const told = await until("accounting has both", 40_000, async () => {
      const now = await report();
      return now.jobs_lost === 1 && now.gpu_hours_out > 0 ? now : null;
    });
    const [first] = told.nodes.filter(({ node }: { node: string }) => node === "n0");
    expect(first).toMatchObject({ gpus: 8, down_s: 0, events: 1, jobs_lost: 0 });
    expect(first.navarch_s).toBeWithin(1, 60);
    const [lost] = told.nodes.filter(({ node }: { node: string }) => node === "n1");
    expect(lost).toMatchObject({ drained_s: 0, navarch_s: 0, jobs_lost: 1 });
    expect(told).toMatchObject({ unread: 0, nodes: { length: 3 } });
    expect(told.nodes[2]).toMatchObject({ node: "n2", availability: 1 });
  },
  150_000,
);
