/**
 * Every workflow of the guide's gallery, by the guide's own command lines, on a real cluster with
 * KWOK: A4, then the fleets of resources/fleet side by side.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { buildStale } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";
import { type Ended, GUIDE, inGuide, Rehearsal, wakeKwok } from "./gallery-ground.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: the gallery of workflows: ${missing}`);

test("a Kubernetes cluster is here for the gallery", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

setDefaultTimeout(240_000);

/** Those that need no control plane, with what they need in the cluster. */
const ALONE: readonly { file: string; definitions: string | null }[] = [
  { file: "k8s/test-gang.yml", definitions: null },
  { file: "k8s/test-failed-job.yml", definitions: null },
  { file: "test-custom-resource.yml", definitions: "resources/crd/example.yml" },
  { file: "other-schedulers.yml", definitions: "resources/crd/schedulers.yml" },
];
const SEED = "k8s/test-job.yml";
/** In the order in which one fleet runs them. */
const FLEET = [
  "fleet/lose-a-gpu.yml",
  "fleet/drain-under-budget.yml",
  "fleet/spot-reclaim.yml",
  "fleet/scale-from-zero.yml",
];
const OWN_FLEET = ["fleet/rack-lost.yml", "fleet/bad-rule.yml"];

test("every workflow of the guide is tried here", () => {
  const files = [...new Bun.Glob("**/*.{yml,yaml}").scanSync(join(GUIDE, "resources/workflows"))];
  const tried = [...ALONE.map(({ file }) => file), SEED, ...FLEET, ...OWN_FLEET];
  expect(files.sort()).toEqual(tried.sort());
});

const path = (file: string): string => `resources/workflows/${file}`;
const passed = ({ code, err }: Ended): string =>
  code === 0 ? "passed" : `${code}: ${err.slice(-2_000)}`;

describe.skipIf(missing !== null)("the gallery", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    await buildStale();
    expect(Bun.spawnSync(["make", "build"], { cwd: GUIDE }).exitCode).toBe(0);
    cluster = await openCluster({ tell: () => {}, stages: "shipped" });
  }, 240_000);
  afterAll(async () => {
    expect(await cluster.close()).toEqual([]);
  }, 60_000);

  const count = async (list: string): Promise<number> =>
    (await cluster.json<{ items: unknown[] }>(list)).items.length;

  test("A4: the guide's line runs a Job on virtual nodes, and leaves neither", async () => {
    const line = `./bin/knavigator -workflow ${path(SEED)} -v 4 -cleanup`;
    expect(passed(await inGuide(cluster, line.split(" ")))).toBe("passed");
    const jobs = "/apis/batch/v1/namespaces/default/jobs";
    expect([await count(jobs), await count("/api/v1/nodes?labelSelector=type%3Dkwok")]).toEqual([
      0, 0,
    ]);
  });

  test("kinds of other schedulers that are not installed are named", async () => {
    const file = path("other-schedulers.yml");
    const { code, err } = await inGuide(cluster, ["./bin/knavigator", "-workflow", file]);
    expect([code, err]).toEqual([
      1,
      expect.stringContaining(
        "install the CustomResourceDefinition of kind Job in group batch.vol",
      ),
    ] as never);
  });

  test.each([...ALONE])("$file passes and leaves nothing", async ({ file, definitions }) => {
    if (definitions !== null) {
      const applied = await cluster.kubectl("apply", "-f", join(GUIDE, definitions));
      expect([applied.code, applied.err]).toEqual([0, ""]);
      await cluster.kubectl("wait", "--for=condition=Established", "crd", "--all");
    }
    const line = ["./bin/knavigator", "-workflow", path(file), "-cleanup"];
    expect(passed(await inGuide(cluster, line))).toBe("passed");
    expect(await count("/api/v1/nodes?labelSelector=type%3Dkwok")).toBe(0);
  });

  describe("with fleets", () => {
    let fleet: Rehearsal;
    let racks: Rehearsal;
    let rule: Rehearsal;
    let wake: ReturnType<typeof wakeKwok>;
    /** Side by side with the others: they mostly wait. */
    let rackLost: Promise<Ended>;
    let badRule: Promise<Ended>;

    beforeAll(async () => {
      fleet = new Rehearsal(cluster, "navarch.yaml");
      racks = new Rehearsal(cluster, "racks.yaml");
      rule = new Rehearsal(cluster, "bad-rule.yaml");
      wake = wakeKwok(cluster);
      await Promise.all([fleet.open(6), racks.open(12), rule.open(12)]);
      await rule.loadPolicy("bad-rule.policy.yaml");
      rackLost = racks.run(path("fleet/rack-lost.yml"));
      badRule = rule.run(path("fleet/bad-rule.yml"));
    }, 240_000);
    afterAll(async () => {
      await wake.end();
      const left = await Promise.all([fleet, racks, rule].map((one) => one.close()));
      expect(left.flat()).toEqual([]);
    }, 120_000);

    test.each(FLEET)("%s passes", async (file) => {
      expect(passed(await fleet.run(path(file)))).toBe("passed");
    });

    test("no rehearsal bought a node too many", async () => {
      // Six at first; two broke, two spot machines were taken, and the Job needed two.
      expect(await fleet.bought()).toEqual({ train: 6, spot: 4, batch: 2 });
    });

    test("rack-lost passes, and nothing is bought or ended", async () => {
      expect(passed(await rackLost)).toBe("passed");
      expect(await racks.bought()).toEqual({ "rack-1": 4, "rack-2": 4, "rack-3": 4 });
    });

    test("bad-rule passes, and nothing is bought or ended", async () => {
      expect(passed(await badRule)).toBe("passed");
      expect(await rule.bought()).toEqual({ serve: 12 });
    });
  });
});
