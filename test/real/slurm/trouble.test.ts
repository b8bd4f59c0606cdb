/**
 * A Slurm in trouble: each kind makes the sink dark with its reason, nothing counts as empty, the
 * event loop goes on, and the sink recovers by itself.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { until } from "../../fixture/plane/plane.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { startMunge } from "./daemon.ts";
import { missesSlurm, SLURM_VERSIONS } from "./package.ts";
import { clientOf, countRpcs, openSinkBed, type SinkBed } from "./sink-bed.ts";

const LIMIT_MS = 180_000;
/** A controller that is away holds its clients for 9 s; then a time limit of 10 s, and the list. */
const DARK_MS = 40_000;
const FRESH_MS = 40_000;
/** Of the event loop, while other processes are busy. */
const PAUSE_MS_MAX = 1_000;
/** To read 80 MB, too. */
const LONG_PAUSE_MS_MAX = 2_000;
const REASON = "navarch:s-1 XID79 GPU has fallen off the bus";
const CLOUD = 1_000;
/** Six lists at rest. */
const REST = { pollMs: 5_000, ms: 30_000 };
/** A node that slurmctld does not hear of for that long is DOWN. */
const CONF = ["SlurmdTimeout=300", "MaxArraySize=10001", "MaxJobCount=20000"];

const TRANSPORTS = [
  { name: "slurmrestd", via: "socket" },
  { name: "commands", via: "cli" },
] as const;

for (const version of SLURM_VERSIONS) {
  const isMissing = await missesSlurm("a Slurm in trouble", version);
  describe.skipIf(isMissing)(`S31: Slurm ${version}`, () => {
    let slurm: SlurmCluster;
    const beds: SinkBed[] = [];
    beforeAll(async () => {
      slurm = await openSlurm({ version, nodes: 2, isRest: true, conf: CONF });
      for (const { via } of TRANSPORTS) beds.push(openSinkBed(clientOf(slurm, via)));
      await slurm.scontrol("update", "nodename=n0", "state=drain", `reason=${REASON}`);
      for (const bed of beds) await bed.untilFresh(FRESH_MS);
    }, LIMIT_MS);
    afterAll(async () => {
      for (const bed of beds) bed.close();
      await slurm?.close();
    }, LIMIT_MS);

    /** A controller that has just started does not know its nodes yet. */
    const untilEmpty = ({ sink }: SinkBed, node: string) => {
      return until(`${node} is empty`, FRESH_MS, () => {
        const left = sink.left(node);
        if (left.kind === "empty") return true;
        throw new Error(JSON.stringify(left));
      });
    };

    /** `n0` is drained and empty before and after; never while the controller is away. */
    const suffer = async (why: RegExp, hurt: () => unknown, heal: () => unknown) => {
      for (const bed of beds) {
        bed.sink.attend(new Set(["n0"]));
        await untilEmpty(bed, "n0");
        bed.longestPause();
      }
      await hurt();
      try {
        const reasons = beds.map(async (bed) => {
          const dark = await bed.untilDark(why, DARK_MS);
          expect(bed.sink.left("n0")).toEqual({ kind: "dark", message: dark });
          expect(bed.sink.status().dark).toBe(dark);
          expect(await bed.drain("n1", REASON)).toEqual({ kind: "refused", message: dark });
        });
        await Promise.all(reasons);
      } finally {
        await heal();
      }
      for (const bed of beds) {
        await untilEmpty(bed, "n0");
        const n0 = bed.sink.nodes().list.find((one) => one.name === "n0");
        expect(n0).toMatchObject({ base: "IDLE", reason: REASON });
        expect(n0?.flags).toContain("DRAIN");
        expect(bed.longestPause()).toBeLessThan(PAUSE_MS_MAX);
      }
    };

    test(
      "S31: a slurmctld that hangs",
      async () => {
        await suffer(
          /no answer within 10 s|timed out/i,
          () => slurm.room.signal("slurmctld", "SIGSTOP"),
          () => slurm.room.signal("slurmctld", "SIGCONT"),
        );
      },
      LIMIT_MS,
    );

    test(
      "S31: a slurmctld that ends and starts again",
      async () => {
        await suffer(
          /contact slurm controller|cannot ask slurmctld|no answer within 10 s/i,
          () => slurm.stopController(),
          () => slurm.startController(),
        );
      },
      LIMIT_MS,
    );

    test(
      "S31: a slurmctld that crashes",
      async () => {
        await suffer(
          /contact slurm controller|cannot ask slurmctld|no answer within 10 s/i,
          () => slurm.stopController("SIGKILL"),
          () => slurm.startController(),
        );
      },
      LIMIT_MS,
    );

    test(
      "S31: munge that ends",
      async () => {
        await suffer(
          /auth|munge|cannot ask slurmctld/i,
          () => slurm.room.stop("munged", "SIGTERM"),
          () => startMunge(slurm.room),
        );
      },
      LIMIT_MS,
    );
  });

  describe.skipIf(isMissing)(`S32: Slurm ${version}`, () => {
    let slurm: SlurmCluster;
    beforeAll(async () => {
      slurm = await openSlurm({ version, nodes: 2, cloud: CLOUD, isRest: true, conf: CONF });
    }, LIMIT_MS);
    afterAll(() => slurm?.close(), LIMIT_MS);

    const rest = "S32: 1,000 nodes at rest, at most 12 RPCs a minute: $name";
    test.each(TRANSPORTS)(
      rest,
      async ({ via }) => {
        const bed = openSinkBed(clientOf(slurm, via), REST.pollMs);
        try {
          await bed.untilFresh(FRESH_MS);
          expect(bed.sink.nodes().list).toHaveLength(CLOUD + 2);
          const before = await countRpcs(slurm);
          await Bun.sleep(REST.ms);
          const after = await countRpcs(slurm);
          const passed = [...after].map(([type, count]) => [type, count - (before.get(type) ?? 0)]);
          const sum = passed.reduce((all, [, count]) => all + Number(count), 0);
          // By default a list comes each 30 s.
          const perMinute = (2 * sum * REST.pollMs) / REST.ms;
          console.log(`${version}, RPCs a minute at rest: ${perMinute}`, JSON.stringify(passed));
          expect(perMinute).toBeGreaterThan(0);
          expect(perMinute).toBeLessThanOrEqual(12);
        } finally {
          bed.close();
        }
      },
      LIMIT_MS,
    );

    test(
      "S32: ten thousand pending jobs",
      async () => {
        const array = await slurm.sbatch(
          ["--array=0-9999", "-w", "n1", "--gres=gpu:8"],
          "sleep 600",
        );
        // A change of single tasks makes each a job of its own, as if a script had submitted them.
        await slurm.must("scontrol", "update", `jobid=${array}_[1-9999]`, "nice=1");
        await slurm.scontrol("update", "nodename=n0", "state=drain", `reason=${REASON}`);
        for (const { via } of TRANSPORTS) await expectSwift(version, slurm, via);
        await slurm.must("scancel", array);
      },
      LIMIT_MS,
    );
  });
}

/** Lists and a drain among ten thousand jobs, of which one works on `n1`. */
async function expectSwift(
  version: string,
  slurm: SlurmCluster,
  via: "socket" | "cli",
): Promise<void> {
  const bed = openSinkBed(clientOf(slurm, via));
  try {
    bed.sink.attend(new Set(["n0", "n1"]));
    await until("10,000 rows", FRESH_MS, () => {
      const jobs = bed.sink.queue()?.jobs ?? [];
      const waiting = jobs.filter(({ state }) => state === "PENDING").length;
      if (waiting > 9_990) return true;
      throw new Error(`${waiting} of ${jobs.length} jobs wait, ${bed.sink.dark()}`);
    });
    // The first one came from slurmrestd, which takes long.
    const first = bed.sink.queue()?.observedAt;
    await until("a second list", FRESH_MS, () => {
      return bed.sink.queue()?.observedAt !== first || null;
    });
    bed.longestPause();
    const countLists = async () => (await countRpcs(slurm)).get("REQUEST_JOB_INFO") ?? 0;
    const before = await countLists();
    await Bun.sleep(10_000);
    const inTen = (await countLists()) - before;
    const pause = Math.round(bed.longestPause());
    expect(bed.sink.dark()).toBeNull();
    expect(bed.sink.left("n0").kind).toBe("empty");
    const startMs = performance.now();
    expect(await bed.drain("n1", REASON)).toMatchObject({ kind: "ok", owner: "own" });
    const drainMs = Math.round(performance.now() - startMs);
    const told = `${inTen} lists in 10 s, the loop paused ${pause} ms, a drain took ${drainMs} ms`;
    console.log(`${version}, ${via}, 10,000 pending jobs: ${told}`);
    expect(inTen).toBeGreaterThan(1);
    expect(pause).toBeLessThan(LONG_PAUSE_MS_MAX);
    await slurm.scontrol("update", "nodename=n1", "state=undrain");
  } finally {
    bed.close();
  }
}
