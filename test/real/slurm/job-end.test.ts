/**
 * S30 on a real Slurm: at the deadline of a drain the jobs of one node are requeued or signalled,
 * as the pool says, and no other job is. Judged by scontrol and squeue.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, chmodSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EventView, ExplainView } from "../../../schema/api.ts";
import { buildStale, cleanEnv, NAVARCH, Plane, until } from "../../fixture/plane/plane.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { missesSlurm, SLURM_VERSIONS } from "./package.ts";
import { clientOf, openSinkBed, type SinkBed } from "./sink-bed.ts";

setDefaultTimeout(240_000);
const SOON_MS = 30_000;
const OPEN = "{ pool: 100%, domain: 100%, fleet: 100% }";
const NOT_OURS = expect.stringContaining("not drained by Navarch");
const REASON = "navarch:s-1 XID79 GPU has fallen off the bus";

/** How often Slurm has requeued a job. */
async function restarts(slurm: SlurmCluster, job: string): Promise<number> {
  const text = await slurm.scontrol("show", "job", job);
  return Number(/Restarts=(\d+)/.exec(text)?.[1] ?? Number.NaN);
}

for (const version of SLURM_VERSIONS) {
  const isMissing = await missesSlurm(`orders to jobs of ${version}`, version);
  describe.skipIf(isMissing)(`jobs of ${version}`, () => {
    let slurm: SlurmCluster;
    let bed: SinkBed;
    beforeAll(async () => {
      slurm = await openSlurm({ version, nodes: 2 });
      bed = openSinkBed(clientOf(slurm, "cli"));
    });
    afterAll(async () => {
      bed?.close();
      await slurm?.close();
    });
    const tell = (jobs: string[], signal: string | null) => {
      return bed.sink.endJobs("n0", jobs, signal, { nodeId: "n0", fence: 9, sessionId: "s-1" });
    };
    const on = async (node: string, words: readonly string[] = [], script = "sleep 600") => {
      const job = await slurm.sbatch(["-w", node, "--gres=gpu:1", ...words], script);
      await slurm.waitJob(job, "RUNNING");
      return job;
    };

    test("S30: tasks, jobs of several nodes and plain ones are requeued, each once", async () => {
      const [plain, wide] = [await on("n0"), await on("n[0-1]", ["-N2"])];
      const [strict, other] = [await on("n0", ["--no-requeue"]), await on("n1")];
      const array = await on("n0", ["--array=0-1"]);
      await slurm.waitJob(`${array}_1`, "RUNNING");
      const jobs = [plain, wide, strict, other, `${array}_0`, `${array}_1`];
      await bed.untilFresh(SOON_MS);
      expect(await tell(jobs, null)).toMatchObject({ told: NOT_OURS });
      await slurm.scontrol("update", "nodename=n0", "state=drain", "reason=maint by alice");
      expect(await tell(jobs, null)).toMatchObject({ told: NOT_OURS });
      await slurm.scontrol("update", "nodename=n0", "state=drain", `reason=${REASON}`);
      const told = await tell(jobs, null);
      expect(told.kind).toBe("ok");
      const text = "told" in told ? told.told : told.message;
      const [done = "", not = ""] = text.split("; Slurm does not requeue ");
      for (const job of [plain, `${wide} (on 2 nodes)`, `${array}_0`, `${array}_1`]) {
        expect(done).toContain(job);
      }
      expect(not).toStartWith(`${strict} (`);
      await slurm.waitJob(plain, "PENDING");
      expect(await tell(jobs, null)).toMatchObject({ told: expect.stringContaining(strict) });
      for (const job of [plain, wide, `${array}_0`, `${array}_1`]) {
        expect([job, await restarts(slurm, job)]).toEqual([job, 1]);
      }
      for (const job of [strict, other]) {
        expect([await slurm.job(job), await restarts(slurm, job)]).toEqual(["RUNNING", 0]);
      }
      await slurm.must("scancel", ...jobs);
      await slurm.waitState("n0", "drained");
      await slurm.scontrol("update", "nodename=n0", "state=undrain");
    });

    test("S30: a job whose other part is elsewhere is requeued whole, and signalled", async () => {
      const job = await slurm.sbatch(
        ["-w", "n1", "--gres=gpu:1", "--wrap=sleep 600", ":", "-w", "n0", "--gres=gpu:1"],
        "sleep 600",
      );
      await slurm.waitJob(job, "RUNNING");
      const part = `${job}+1`;
      await slurm.scontrol("update", "nodename=n0", "state=drain", `reason=${REASON}`);
      await bed.untilFresh(SOON_MS);
      expect(await tell([part], "CONT")).toEqual({
        kind: "ok",
        told: `SIGCONT was sent to job ${part}`,
      });
      expect(await tell([part], null)).toEqual({ kind: "ok", told: `requeued job ${part}` });
      await slurm.waitJob(job, "PENDING");
      await slurm.must("scancel", job);
      await slurm.waitState("n0", "drained");
      await slurm.scontrol("update", "nodename=n0", "state=undrain");
    });

    test("S30: a signal reaches the script of the job on the node, and no other job's", async () => {
      const folder = mkdtempSync(join(tmpdir(), "navarch-signal-"));
      chmodSync(folder, 0o777);
      const trap = (name: string) => {
        return `trap "touch ${join(folder, name)}; exit 0" USR1; while :; do sleep 0.2; done`;
      };
      const [here, there] = [await on("n0", [], trap("here")), await on("n1", [], trap("there"))];
      // The script has to be at its trap.
      await Bun.sleep(2_000);
      await slurm.scontrol("update", "nodename=n0", "state=drain", `reason=${REASON}`);
      expect(await tell([here, there], "USR1")).toEqual({
        kind: "ok",
        told: `SIGUSR1 was sent to job ${here}`,
      });
      await slurm.waitState("n0", "drained");
      expect([existsSync(join(folder, "here")), existsSync(join(folder, "there"))]).toEqual([
        ...[true, false],
      ]);
      expect(await slurm.job(there)).toBe("RUNNING");
      await slurm.must("scancel", there);
    });
  });
}

const isMissing = await missesSlurm("a drain's deadline in Slurm");
describe.skipIf(isMissing)("a control plane whose pool requeues at the deadline", () => {
  test("S30: a job is left until then, requeued, and the node held with what stays", async () => {
    await buildStale();
    await using slurm = await openSlurm({ nodes: 2 });
    const plane = new Plane(
      `
server: { heartbeat_interval: 500ms, sample_interval: 500ms, health_check_interval: 1s }
slurm: { enabled: true, conf: ${slurm.conf}, poll_interval: 2s }
simulation: { enabled: true }
safety: { budgets: { isolate: ${OPEN}, drain: ${OPEN}, replace: ${OPEN} } }
providers: { fake: { gpu_count: 8, boot_delay: 300ms, terminate_delay: 300ms } }
pools:
  - name: gpus
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 2, max_nodes: 4 }
    health: { unhealthy_threshold: 1, max_unavailable: 100% }
    slurm: { nodes: "n[0-1]" }
    drain: { fatal_timeout: 15s, on_timeout: hold, slurm_jobs: requeue, grace_period: 8s }
`,
      {},
    );
    await plane.start();
    try {
      const node = await until("both have their names", SOON_MS, async () => {
        const all = await plane.serving();
        const named = all.filter((one) => one.slurm != null);
        const found = named.find(({ slurm: side }) => side?.name === "n0");
        return named.length === 2 ? (found ?? null) : null;
      });
      const start = async (words: readonly string[]) => {
        const job = await slurm.sbatch(["--gres=gpu:1", ...words], "sleep 600");
        await slurm.waitJob(job, "RUNNING");
        return job;
      };
      const job = await start(["-w", "n0"]);
      const [strict, other] = [
        await start(["-w", "n0", "--no-requeue"]),
        await start(["-w", "n1"]),
      ];
      const child = Bun.spawn(
        [NAVARCH, "sim", "inject", `--node=${node.node_id}`, "--xid=79", `--server=${plane.url}`],
        { env: cleanEnv({ NAVARCH_AUTH_TOKEN: plane.adminToken }), stdout: "ignore" },
      );
      expect(await child.exited).toBe(0);
      await slurm.waitState("n0", "draining", SOON_MS);
      const explain = () => plane.get<ExplainView>(`/nodes/${node.node_id}/explain`);
      const told = `jobs ${job}, ${strict}; at its deadline Slurm is asked to requeue them`;
      const said = await until("it says what it waits for", SOON_MS, async () => {
        const view = await explain();
        if (view.next?.includes(told)) return view;
        throw new Error(`it says: ${view.next}`);
      });
      expect(said.next).toContain("8 s later the node is held for a person");
      expect(await slurm.job(job)).toBe("RUNNING");
      await slurm.waitJob(job, "PENDING", SOON_MS);
      expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(said.earliest ?? "") - 1_000);
      const events = async (): Promise<EventView[]> =>
        (await plane.events(`&node=${node.node_id}`)).filter(
          ({ kind }) => kind === "slurm.jobs_told",
        );
      const [event] = await until("it is told", SOON_MS, async () => {
        const all = await events();
        return all.length > 0 ? all : null;
      });
      expect(event?.message).toContain(
        `n0: requeued job ${job}; Slurm does not requeue ${strict} (`,
      );
      await until("it is held", SOON_MS, async () => {
        const all = await plane.nodes();
        return all.find(({ node_id: id }) => id === node.node_id)?.phase === "held" || null;
      });
      expect(await events()).toHaveLength(1);
      expect(await restarts(slurm, job)).toBe(1);
      for (const one of [strict, other]) expect(await slurm.job(one)).toBe("RUNNING");
      await slurm.must("scancel", job, strict, other);
    } finally {
      expect(await plane.destroy()).toEqual([]);
    }
  });
});
