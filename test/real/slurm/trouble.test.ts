/**
 * A Slurm in trouble: each kind makes the sink dark with its reason, nothing counts as empty, the
 * event loop goes on, and the sink recovers by itself.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { until } from "../../fixture/plane/plane.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { startMunge } from "./daemon.ts";
import { missesSlurm } from "./package.ts";
import { clientOf, countRpcs, openSinkBed, type SinkBed } from "./sink-bed.ts";

const isMissing = await missesSlurm("a Slurm in trouble");
const LIMIT_MS = 180_000;
/** A controller that is away holds its clients for 9 s; then a time limit of 10 s, and the list. */
const DARK_MS = 30_000;
const FRESH_MS = 30_000;
/** Of the event loop, while other processes are busy. */
const PAUSE_MS_MAX = 1_000;
const REASON = "navarch:s-1 XID79 GPU has fallen off the bus";

const TRANSPORTS = [
  { name: "slurmrestd", via: "socket" },
  { name: "commands", via: "cli" },
] as const;

for (const { name, via } of TRANSPORTS) {
  describe.skipIf(isMissing)(name, () => {
    let slurm: SlurmCluster;
    let bed: SinkBed;
    beforeAll(async () => {
      slurm = await openSlurm({ nodes: 2, isRest: true });
      bed = openSinkBed(clientOf(slurm, via));
      await slurm.scontrol("update", "nodename=n0", "state=drain", `reason=${REASON}`);
      await bed.untilFresh(FRESH_MS);
    }, LIMIT_MS);
    afterAll(async () => {
      bed?.close();
      await slurm?.close();
    }, LIMIT_MS);

    /** A controller that has just started does not know its nodes yet. */
    const untilEmpty = (node: string) => {
      return until(`${node} is empty`, FRESH_MS, () => {
        const left = bed.sink.left(node);
        if (left.kind === "empty") return true;
        throw new Error(JSON.stringify(left));
      });
    };

    /** `n0` is drained and empty before and after; never while the controller is away. */
    const suffer = async (why: RegExp, hurt: () => unknown, heal: () => unknown) => {
      bed.sink.attend(new Set(["n0"]));
      await untilEmpty("n0");
      bed.longestPause();
      await hurt();
      try {
        const dark = await bed.untilDark(why, DARK_MS);
        expect(bed.sink.left("n0")).toEqual({ kind: "dark", message: dark });
        expect(bed.sink.status().dark).toBe(dark);
        expect(await bed.drain("n1", REASON)).toEqual({ kind: "refused", message: dark });
      } finally {
        await heal();
      }
      await untilEmpty("n0");
      const n0 = bed.sink.nodes().list.find((one) => one.name === "n0");
      expect(n0).toMatchObject({ flags: ["DRAIN"], reason: REASON });
      expect(bed.longestPause()).toBeLessThan(PAUSE_MS_MAX);
    };

    test("S31: a slurmctld that hangs", async () => {
      await suffer(
        /no answer within 10 s|timed out/i,
        () => slurm.room.signal("slurmctld", "SIGSTOP"),
        () => slurm.room.signal("slurmctld", "SIGCONT"),
      );
    }, LIMIT_MS);

    test("S31: a slurmctld that ends and starts again", async () => {
      await suffer(
        /contact slurm controller|Unspecified error|no answer within 10 s/i,
        () => slurm.stopController(),
        () => slurm.startController(),
      );
    }, LIMIT_MS);

    test("S31: a slurmctld that crashes", async () => {
      await suffer(
        /contact slurm controller|Unspecified error|no answer within 10 s/i,
        () => slurm.stopController("SIGKILL"),
        () => slurm.startController(),
      );
    }, LIMIT_MS);

    test("S31: munge that ends", async () => {
      await suffer(
        /auth|munge|Unspecified error/i,
        () => slurm.room.stop("munged", "SIGTERM"),
        () => startMunge(slurm.room),
      );
    }, LIMIT_MS);
  });
}

test.skipIf(isMissing).each(TRANSPORTS)(
  "S32: a thousand cloud nodes at rest cost at most 12 RPCs a minute: $name",
  async ({ via }) => {
    await using slurm = await openSlurm({ nodes: 1, cloud: 1_000, isRest: true });
    const bed = openSinkBed(clientOf(slurm, via), 30_000);
    try {
      await bed.untilFresh(FRESH_MS);
      expect(bed.sink.nodes().list).toHaveLength(1_001);
      const before = await countRpcs(slurm);
      await Bun.sleep(60_000);
      const after = await countRpcs(slurm);
      const passed = [...after].map(([type, count]) => [type, count - (before.get(type) ?? 0)]);
      const sum = passed.reduce((all, [, count]) => all + Number(count), 0);
      console.log("RPCs in a minute at rest:", sum, JSON.stringify(passed));
      expect(sum).toBeGreaterThan(0);
      expect(sum).toBeLessThanOrEqual(12);
    } finally {
      bed.close();
    }
  },
  LIMIT_MS,
);

test.skipIf(isMissing).each(TRANSPORTS)(
  "S32: ten thousand pending jobs: $name",
  async ({ via }) => {
    const conf = ["MaxArraySize=10001", "MaxJobCount=20000"];
    await using slurm = await openSlurm({ nodes: 2, isRest: true, conf });
    const array = await slurm.sbatch(["--array=0-9999", "-w", "n1", "--gres=gpu:8"], "sleep 600");
    await slurm.scontrol("update", "nodename=n0", "state=drain", `reason=${REASON}`);
    const bed = openSinkBed(clientOf(slurm, via));
    try {
      bed.sink.attend(new Set(["n0", "n1"]));
      await bed.untilFresh(FRESH_MS);
      const waiting = () => {
        const jobs = bed.sink.queue()?.jobs.filter(({ state }) => state === "PENDING") ?? [];
        return jobs.reduce((all, { tasks }) => all + tasks, 0);
      };
      expect(waiting()).toBeGreaterThan(9_990);
      expect(bed.sink.left("n0").kind).toBe("empty");
      // A change of single tasks makes each a job of its own, as if a script had submitted them.
      await slurm.must("scontrol", "update", `jobid=${array}_[1-9999]`, "nice=1");
      await until("10,000 rows", FRESH_MS, () => {
        return (bed.sink.queue()?.jobs.length ?? 0) > 9_990 || null;
      });
      bed.longestPause();
      const rpcs = await countRpcs(slurm);
      await Bun.sleep(10_000);
      const lists = (await countRpcs(slurm)).get("REQUEST_JOB_INFO") ?? 0;
      const pause = Math.round(bed.longestPause());
      const inTen = lists - (rpcs.get("REQUEST_JOB_INFO") ?? 0);
      console.log(`10,000 pending jobs: ${inTen} lists in 10 s, the loop paused ${pause} ms`);
      expect(inTen).toBeGreaterThan(0);
      expect(bed.sink.dark()).toBeNull();
      expect(bed.sink.left("n0").kind).toBe("empty");
      // The commands write for both.
      const startMs = performance.now();
      expect(await bed.drain("n1", REASON)).toMatchObject({ kind: "ok", owner: "own" });
      console.log(`10,000 pending jobs: a drain took ${Math.round(performance.now() - startMs)} ms`);
      expect(pause).toBeLessThan(PAUSE_MS_MAX);
    } finally {
      bed.close();
    }
  },
  LIMIT_MS,
);
