import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { openFakeKube } from "../../simulator/cluster/fake.ts";
import type { FakeKube } from "../../simulator/cluster/fake.ts";
import { liveNode, seedNode } from "../../test/fixture/kubernetes/node.ts";
import { ANNOTATION, type KubeNode, type Taint } from "../core/kubernetes/object.ts";
import { foreignTaints } from "./pool-taint.ts";
import { changeTaints, DRAINING_TAINT } from "./taint.ts";

const NAME = "gpu-17";
const taint = (key: string, value: string | null = null): Taint => {
  return { key, value, effect: "NoSchedule" };
};
const POOL = taint("node-type", "gpu-optimized");
const SPOT = taint("cloud.google.com/gke-spot");
let clock: VirtualClock;
let kube: FakeKube;

beforeEach(() => {
  clock = new VirtualClock();
  kube = openFakeKube({ clock });
  seedNode(kube, NAME);
});

const live = (): KubeNode => liveNode(kube, NAME);
const shown = (): string[] => live().taints.map(({ key, value }) => `${key}=${value ?? ""}`);

const edit = ({ value, ...rest }: Taint): void =>
  kube.person.taint(NAME, { ...rest, value: value ?? "" });

async function keep(...pool: Taint[]): Promise<void> {
  const ports = { api: kube, clock, random: () => 0.5 };
  const target = { name: NAME, uid: live().uid, pool: null, lane: "status" as const };
  const work = changeTaints(ports, target, { want: [], drop: [], pool });
  await clock.pass(10_000);
  expect((await work).kind).toBe("done");
}

describe("C39: a pool's taints", () => {
  test("are put on a Node without any annotation, and put back when edited away", async () => {
    expect(live().bare).toBe(true);
    await keep(POOL, SPOT);
    expect(shown()).toEqual(["node-type=gpu-optimized", "cloud.google.com/gke-spot="]);
    expect(live().annotations[ANNOTATION.taints]).toBe(
      "node-type:NoSchedule,cloud.google.com/gke-spot:NoSchedule",
    );
    kube.person.untaint(NAME, POOL.key);
    edit(taint("other", "1"));
    await keep(POOL, SPOT);
    expect(shown().sort()).toEqual([
      "cloud.google.com/gke-spot=",
      "node-type=gpu-optimized",
      "other=1",
    ]);
    kube.person.untaint(NAME, POOL.key);
    edit(taint(POOL.key, "mine"));
    await keep(POOL, SPOT);
    expect(shown()).toContain("node-type=gpu-optimized");
  });

  test("leave with the configuration, and one that was there before stays", async () => {
    edit(POOL);
    await keep(POOL, SPOT);
    expect(live().annotations[ANNOTATION.taints]).toBe("cloud.google.com/gke-spot:NoSchedule");
    await keep();
    expect(shown()).toEqual(["node-type=gpu-optimized"]);
    expect(live().annotations).toEqual({});
  });

  test("leave another client's value alone, which is reported", async () => {
    edit(taint(POOL.key, "theirs"));
    await keep(POOL);
    expect(shown()).toEqual(["node-type=theirs"]);
    expect(foreignTaints(live(), [POOL])).toEqual([
      'taint node-type:NoSchedule has another client\'s value "theirs"; ' +
        "remove it, and Navarch puts the pool's",
    ]);
    kube.person.untaint(NAME, POOL.key);
    await keep(POOL);
    expect([shown(), foreignTaints(live(), [POOL])]).toEqual([["node-type=gpu-optimized"], []]);
  });

  test("a forged record removes no taint of Kubernetes' controllers", async () => {
    const theirs = taint("node.kubernetes.io/unreachable");
    edit(theirs);
    const note = { [ANNOTATION.taints]: `${theirs.key}:NoSchedule,:,x` };
    kube.person.edit("nodes", "", NAME, { metadata: { annotations: note } });
    await keep(POOL);
    expect(shown().sort()).toEqual(["node-type=gpu-optimized", `${theirs.key}=`].sort());
  });

  test("nobody else's are ever changed, whatever the order of edits and reloads", async () => {
    const keys = ["a", "b", "c"];
    const act = fc.oneof(
      fc.record({ by: fc.constant("person"), key: fc.constantFrom("x", "y"), put: fc.boolean() }),
      fc.record({ by: fc.constant("thief"), key: fc.constantFrom(...keys), put: fc.boolean() }),
      fc.record({ by: fc.constant("pool"), set: fc.subarray(keys) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 10 }), async (acts) => {
        kube = openFakeKube({ clock });
        seedNode(kube, NAME);
        const theirs = new Set<string>();
        for (const one of acts) {
          if ("set" in one) {
            await keep(...one.set.map((key) => taint(key, "pool")));
            const found = new Set(live().taints.map(({ key }) => key));
            expect(found).toEqual(new Set([...theirs, ...one.set]));
          } else if (one.by === "thief") kube.person.untaint(NAME, one.key);
          else if (one.put) edit(taint(one.key));
          else kube.person.untaint(NAME, one.key);
          if ("set" in one || one.by === "thief") continue;
          if (one.put) theirs.add(one.key);
          else theirs.delete(one.key);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("another change of taints leaves them as they are", async () => {
    await keep(POOL);
    const ports = { api: kube, clock, random: () => 0.5 };
    const target = { name: NAME, uid: live().uid, pool: null, lane: "status" as const };
    const work = changeTaints(ports, target, { want: [DRAINING_TAINT], drop: [] });
    await clock.pass(10_000);
    expect((await work).kind).toBe("done");
    expect(shown()).toEqual(["node-type=gpu-optimized", "navarch.dev/draining="]);
  });
});
