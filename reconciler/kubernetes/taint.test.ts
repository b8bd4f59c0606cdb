import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { liveNode, seedAgain, seedNode } from "../../test/fixture/kubernetes/node.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { openFakeKube } from "../../simulator/cluster/fake.ts";
import type { FakeKube } from "../../simulator/cluster/fake.ts";
import { type KubeNode, TAINT, type Taint } from "../core/kubernetes/object.ts";
import {
  changeTaints,
  DRAINING_TAINT,
  OUT_OF_SERVICE_TAINT,
  taintRequest,
  taintValue,
  unhealthyTaint,
} from "./taint.ts";
import type { TaintAnswer, TaintChange } from "./taint.ts";

const NAME = "gpu-17";
const FOREIGN: Taint = { key: "example.test/mine", value: "yes", effect: "NoSchedule" };
let clock: VirtualClock;
let kube: FakeKube;
let uid: string;

beforeEach(() => {
  clock = new VirtualClock();
  kube = openFakeKube({ clock });
  uid = seedNode(kube, NAME).uid;
});

const live = (): KubeNode => liveNode(kube, NAME);

async function change(desired: Partial<TaintChange>, cached?: KubeNode): Promise<TaintAnswer> {
  const ports = { api: kube, clock, random: () => 0.5 };
  const target = { name: NAME, uid, pool: null, cached, lane: "status" as const };
  const work = changeTaints(ports, target, { want: [], drop: [], ...desired });
  await clock.pass(10_000);
  return work;
}

describe("changeTaints()", () => {
  test("puts the first one on a Node without any, and takes it away again", async () => {
    expect((await change({ want: [DRAINING_TAINT] })).kind).toBe("done");
    expect(live().taints).toEqual([DRAINING_TAINT]);
    expect((await change({ drop: [TAINT.draining] })).kind).toBe("done");
    expect(live().taints).toEqual([]);
  });

  test("leaves everybody else's where they are", async () => {
    kube.person.taint(NAME, { ...FOREIGN, value: "yes" });
    await change({ want: [DRAINING_TAINT, OUT_OF_SERVICE_TAINT] });
    kube.person.taint(NAME, { key: "example.test/later", effect: "NoExecute" });
    await change({ want: [unhealthyTaint("xid79")], drop: [TAINT.draining, TAINT.outOfService] });
    expect(live().taints.map(({ key }) => key)).toEqual([
      FOREIGN.key,
      "example.test/later",
      TAINT.unhealthy.key,
    ]);
  });

  test("changes a value in its place", async () => {
    await change({ want: [unhealthyTaint("xid79"), DRAINING_TAINT] });
    await change({ want: [unhealthyTaint("xid95")] });
    expect(live().taints).toEqual([unhealthyTaint("xid95"), DRAINING_TAINT]);
  });

  test("sends nothing where it is so", async () => {
    await change({ want: [DRAINING_TAINT] });
    const { resourceVersion } = live();
    const patches = kube.asked.get("patch nodes");
    expect((await change({ want: [DRAINING_TAINT], drop: [TAINT.unhealthy] })).kind).toBe("done");
    expect([live().resourceVersion, kube.asked.get("patch nodes")]).toEqual([
      resourceVersion,
      patches,
    ]);
  });

  test("reads again after a lost race, and touches no other object", async () => {
    const stale = live();
    kube.person.taint(NAME, { ...FOREIGN, value: "yes" });
    expect((await change({ want: [DRAINING_TAINT] }, stale)).kind).toBe("done");
    expect(live().taints).toEqual([FOREIGN, DRAINING_TAINT]);
    seedAgain(kube, NAME);
    expect((await change({ want: [DRAINING_TAINT] }, stale)).kind).toBe("other_object");
    expect(live().taints).toEqual([]);
  });

  test("loses nobody's taint, whoever writes at the same time", async () => {
    const keys = ["a", "b", "c"].map((key) => `example.test/${key}`);
    const act = fc.oneof(
      fc.record({ who: fc.constant("person"), key: fc.constantFrom(...keys), put: fc.boolean() }),
      fc.record({
        who: fc.constantFrom("fresh", "stale"),
        key: fc.constantFrom("unhealthy" as const, "draining" as const),
        put: fc.boolean(),
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 12 }), async (acts) => {
        kube = openFakeKube({ clock });
        uid = seedNode(kube, NAME).uid;
        const copy = live();
        const wanted = new Set<string>();
        for (const { who, key, put } of acts) {
          if (who === "person" && put) kube.person.taint(NAME, { key, effect: "NoSchedule" });
          else if (who === "person") kube.person.untaint(NAME, key);
          else {
            const taint = key === "draining" ? DRAINING_TAINT : unhealthyTaint("x");
            const desired = put ? { want: [taint] } : { drop: [taint] };
            expect((await change(desired, who === "stale" ? copy : undefined)).kind).toBe("done");
          }
          const name = who === "person" ? key : `navarch.dev/${key}`;
          if (put) wanted.add(name);
          else wanted.delete(name);
          expect(new Set(live().taints.map((taint) => taint.key))).toEqual(wanted);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("taintRequest()", () => {
  test("tests UID, version and the entry before it removes it", () => {
    const node = { ...live(), taints: [FOREIGN, DRAINING_TAINT], resourceVersion: "8" };
    const desired = { want: [], drop: [TAINT.draining] };
    expect(taintRequest(node, desired, { pool: "a", lane: "status" })).toMatchObject({
      contentType: "application/json-patch+json",
      body: [
        { op: "test", path: "/metadata/uid", value: uid },
        { op: "test", path: "/metadata/resourceVersion", value: "8" },
        { op: "test", path: "/spec/taints/1/key", value: "navarch.dev/draining" },
        { op: "test", path: "/spec/taints/1/effect", value: "NoSchedule" },
        { op: "remove", path: "/spec/taints/1" },
      ],
    });
  });

  test("takes several from the end", () => {
    const node = { ...live(), taints: [DRAINING_TAINT, FOREIGN, unhealthyTaint("x")] };
    const desired = { want: [], drop: [TAINT.draining, TAINT.unhealthy] };
    const request = taintRequest(node, desired, { pool: null, lane: "status" });
    const body = request?.body as { op: string; path: string }[];
    expect(body.filter(({ op }) => op === "remove").map(({ path }) => path)).toEqual([
      "/spec/taints/2",
      "/spec/taints/0",
    ]);
  });
});

test("taintValue() makes any text a label's value", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 100 }), (text) => {
      expect(taintValue(text)).toMatch(/^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/);
    }),
  );
  expect(taintValue("xid 79 / gpu3")).toBe("xid-79-gpu3");
  expect(unhealthyTaint("…").value).toBeNull();
});
