import { beforeEach, describe, expect, test } from "bun:test";
import { liveNode, seedAgain, seedNode } from "../../test/fixture/kubernetes/node.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { openFakeKube } from "../../simulator/cluster/fake.ts";
import type { FakeKube } from "../../simulator/cluster/fake.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";
import { StatusMirror } from "./status-mirror.ts";
import type { DesiredStatus } from "./status-diff.ts";
import type { MirrorPorts } from "./status-mirror.ts";

const NAME = "gpu-17";
const ACCOUNT = "system:serviceaccount:navarch:navarch";
const HOUR_MS = 3_600_000;
let clock: VirtualClock;
let kube: FakeKube;
let mirror: StatusMirror;
let lines: string[];
let removed: string[];

beforeEach(() => {
  clock = new VirtualClock();
  kube = openFakeKube({ clock });
  const conditions = [{ type: "Ready", status: "True", reason: "KubeletReady" }];
  seedNode(kube, NAME, { status: { conditions } });
  lines = [];
  removed = [];
  mirror = open();
});

function open(): StatusMirror {
  const log = (_level: string, line: string) => void lines.push(line);
  return openWith({ log, removed: ({ note }) => void removed.push(note) });
}

function openWith(change: Partial<MirrorPorts>): StatusMirror {
  const none = (): void => undefined;
  const quiet = { log: none, contested: none, removed: none };
  return new StatusMirror({ api: kube, clock, random: () => 0.5, ...quiet, ...change });
}

const live = (): KubeNode => liveNode(kube, NAME);

const desired = (more: Partial<DesiredStatus> = {}): DesiredStatus => {
  const object = more.object ?? live();
  return {
    ...{ node: "n", fleet: null, later: false },
    name: object.name,
    uid: object.uid,
    pool: "a100",
    object,
    conditions: [
      { type: "GPUHealthy", status: "True", reason: "NoFault", message: "fine" },
      { type: "NavarchManaged", status: "True", reason: "Serving", message: "" },
    ],
    labels: { "example.test/tier": "gold" },
    taints: [],
    unhealthyTaint: null,
    draining: false,
    verified: false,
    mirror: { condition: true, labels: true, taint: true },
    ...more,
  };
};

async function tend(desired: DesiredStatus[], former: KubeNode[] = []): Promise<void> {
  mirror.tend(desired, former);
  const rest = mirror.rest();
  await clock.pass(1_000);
  await rest;
}

const patches = (): number =>
  (kube.asked.get("patch nodes") ?? 0) + (kube.asked.get("patch nodes/status") ?? 0);

const conditions = () => {
  const status = kube.get("nodes", "", NAME)?.["status"] as { conditions?: object[] };
  return status.conditions as Record<string, string>[];
};
const sick = (message = "xid 79"): Partial<DesiredStatus> => ({
  conditions: [{ type: "GPUHealthy", status: "False", reason: "Fault", message }],
  unhealthyTaint: "xid79",
  draining: true,
});

describe("StatusMirror", () => {
  test("shows conditions, labels and taints, beside what others say", async () => {
    await tend([desired()]);
    expect(
      live()
        .conditions.map(({ type, status }) => `${type}=${status}`)
        .sort(),
    ).toEqual(["GPUHealthy=True", "NavarchManaged=True", "Ready=True"]);
    expect(live().labels).toMatchObject({
      "example.test/tier": "gold",
      "navarch.dev/pool": "a100",
    });
    await tend([desired(sick())]);
    expect(live().taints.map(({ key, value }) => [key, value])).toEqual([
      ["navarch.dev/unhealthy", "xid79"],
      ["navarch.dev/draining", null],
    ]);
    // The other condition is not desired any more.
    expect(
      live()
        .conditions.map(({ type }) => type)
        .sort(),
    ).toEqual(["GPUHealthy", "Ready"]);
    await tend([desired()]);
    expect(live().taints).toEqual([]);
  });

  test("writes on change only, whatever old copy it is given", async () => {
    const old = live();
    await tend([desired()]);
    const before = patches();
    for (let i = 0; i < 10; i++) await tend([desired({ object: i % 2 === 0 ? old : live() })]);
    expect(patches()).toBe(before);
  });

  describe("of why a node waits", () => {
    const waits = (reason: string, message: string, keeps?: string): Partial<DesiredStatus> => ({
      conditions: [
        {
          ...{ type: "NavarchManaged", status: "True", reason, message },
          ...(keeps === undefined ? {} : { keeps }),
        },
      ],
    });
    const shown = () => live().conditions.find(({ type }) => type === "NavarchManaged");

    test("writes no count and no second that moves, and takes both along at the renewal", async () => {
      const said = (count: number, second: number): string =>
        `node n is draining: ${count} pods left; cut off at 2026-11-22T16:19:${10 + second}Z`;
      await tend([desired(waits("Draining", said(9, 0)))]);
      const before = patches();
      for (let i = 1; i < 8; i++) await tend([desired(waits("Draining", said(9 - i, i)))]);
      expect(patches()).toBe(before);
      await clock.pass(300_000);
      await tend([desired(waits("Draining", said(1, 9)))]);
      expect(patches()).toBe(before + 1);
      expect(shown()?.message).toBe(said(1, 9));
    });

    test("writes a new reason at once, and new words at most once a minute", async () => {
      await tend([desired(waits("Suspect", "node n is suspect: one"))]);
      await tend([desired(waits("BudgetExhausted", "node n is suspect: two"))]);
      expect(shown()?.reason).toBe("BudgetExhausted");
      await tend([desired(waits("BudgetExhausted", "node n is suspect: three"))]);
      expect(shown()?.message).toEndWith("three");
      const before = patches();
      for (const word of ["four", "five", "six"]) {
        await tend([desired(waits("BudgetExhausted", `node n is suspect: ${word}`))]);
      }
      expect(patches()).toBe(before);
      await clock.pass(60_000);
      await tend([desired(waits("BudgetExhausted", "node n is suspect: six"))]);
      expect(patches()).toBe(before + 1);
      expect(shown()?.message).toEndWith("six");
    });

    test("a deadline that moves by minutes is new", async () => {
      await tend([desired(waits("Draining", "n is draining; cut off at 2026-11-22T16:19:00Z"))]);
      await tend([desired(waits("Draining", "n is draining; cut off at 2026-11-22T16:24:00Z"))]);
      expect(shown()?.message).toContain("16:24");
    });

    test("writes at once that a drain's deadline counts, or counts no more", async () => {
      const paused = "n is draining: paused: the cluster's nodes are not known yet; 1 pod left";
      const counts = "n is draining: 1 pod left; what is left is cut off at 2026-11-22T16:19:00Z";
      await tend([desired(waits("Draining", "n is draining: 2 pods left"))]);
      for (const message of [paused, counts, paused, counts]) {
        await tend([desired(waits("Draining", message))]);
        await tend([desired(waits("Draining", message))]);
        if (message === counts) expect(shown()?.message).toBe(counts);
        else expect(shown()?.message).not.toContain("cut off");
      }
    });

    test("keeps what is shown while an effect is on its way, if it is still of that phase", async () => {
      const head = "node n is suspect (session s1)";
      await tend([desired(waits("CordonRefused", `${head}: Kubernetes does not cordon it`))]);
      const before = patches();
      await tend([desired(waits("Suspect", head, head))]);
      expect(patches()).toBe(before);
      expect(shown()?.reason).toBe("CordonRefused");
      // A renewal does not lose it either.
      await clock.pass(300_000);
      await tend([desired(waits("Suspect", head, head))]);
      expect(patches()).toBe(before + 1);
      expect(shown()).toMatchObject({ reason: "CordonRefused" });
      const next = "node n is draining (session s1)";
      await tend([desired(waits("Draining", next, next))]);
      expect(shown()).toMatchObject({ reason: "Draining", message: next });
      const sent = conditions().find(({ type }) => type === "NavarchManaged");
      expect(sent).not.toHaveProperty("keeps");
    });
  });

  test("moves the time of transition with the status alone", async () => {
    await tend([desired(sick("one"))]);
    const first = conditions().find(({ type }) => type === "GPUHealthy");
    await clock.pass(60_000);
    await tend([desired(sick("two"))]);
    const second = conditions().find(({ type }) => type === "GPUHealthy");
    expect(second).toMatchObject({ message: "two" });
    expect(second?.["lastTransitionTime"]).toBe(first?.["lastTransitionTime"] ?? "");
    expect(second?.["lastHeartbeatTime"]).not.toBe(first?.["lastHeartbeatTime"] ?? "");
    await tend([desired()]);
    const third = conditions().find(({ type }) => type === "GPUHealthy");
    expect(third?.["lastTransitionTime"]).not.toBe(first?.["lastTransitionTime"] ?? "");
  });

  test("bounds a message, and does not send it again for having been cut", async () => {
    await tend([desired(sick("ü".repeat(5_000)))]);
    const message = live().conditions.find(({ type }) => type === "GPUHealthy")?.message ?? "";
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(1_024);
    const before = patches();
    await tend([desired(sick("ü".repeat(5_000)))]);
    expect(patches()).toBe(before);
  });

  test.each(["NoExecute", "NoSchedule"])(
    "takes away what a kubelet registered with (%s) once the node serves, whatever is shown",
    async (effect) => {
      const theirs = { key: "example.test/mine", effect: "NoSchedule" };
      kube.person.taint(NAME, { key: "navarch.dev/unverified", effect });
      kube.person.taint(NAME, theirs);
      const off = { condition: false, labels: false, taint: false };
      const keys = (): string[] => live().taints.map(({ key }) => key);
      await tend([desired({ mirror: off })]);
      expect(keys()).toContain("navarch.dev/unverified");
      await tend([desired({ mirror: off, verified: true })]);
      expect(keys()).toEqual([theirs.key]);
    },
  );

  test("puts back what somebody took away", async () => {
    await tend([desired(sick())]);
    kube.person.untaint(NAME, "navarch.dev/unhealthy");
    kube.person.label("nodes", "", NAME, { "navarch.dev/pool": null });
    await tend([desired(sick())]);
    expect(live().labels["navarch.dev/pool"]).toBe("a100");
    expect(live().taints.map(({ key }) => key)).toContain("navarch.dev/unhealthy");
  });

  test("leaves a label that somebody else owns, and says so once", async () => {
    kube.person.label("nodes", "", NAME, { "example.test/tier": "lead" });
    await tend([desired()]);
    expect(live().labels).toMatchObject({
      "example.test/tier": "lead",
      "navarch.dev/pool": "a100",
    });
    const before = patches();
    for (let i = 0; i < 5; i++) await tend([desired()]);
    expect([patches(), lines.length]).toEqual([before, 1]);
    expect(lines[0]).toContain("example.test/tier=gold is left to its owner");
    kube.person.label("nodes", "", NAME, { "example.test/tier": null });
    await tend([desired()]);
    expect(live().labels["example.test/tier"]).toBe("gold");
  });

  test("takes a label of ours away that is not desired any more", async () => {
    await tend([desired()]);
    await tend([desired({ labels: {} })]);
    expect(live().labels["example.test/tier"]).toBeUndefined();
  });

  test("sends everything again once an hour", async () => {
    await tend([desired()]);
    const before = patches();
    await clock.pass(200_000);
    await tend([desired()]);
    expect(patches()).toBe(before);
    await clock.pass(HOUR_MS);
    await tend([desired()]);
    await tend([desired()]);
    expect(patches()).toBe(before + 2);
  });

  test("renews the conditions alone every five minutes, and contests nothing by it", async () => {
    const of = () => conditions().find(({ type }) => type === "GPUHealthy");
    await tend([desired()]);
    const [first, before] = [of(), patches()];
    for (let i = 0; i < 4; i++) {
      await clock.pass(300_000);
      await tend([desired()]);
    }
    expect(patches()).toBe(before + 4);
    expect(of()?.["lastHeartbeatTime"]).not.toBe(first?.["lastHeartbeatTime"] ?? "");
    expect(of()?.["lastTransitionTime"]).toBe(first?.["lastTransitionTime"] ?? "");
    expect(mirror.troubles()).toEqual([]);
  });

  test("removes every mark that has not been desired for a minute", async () => {
    const plain = live().labels;
    kube.person.label("nodes", "", NAME, { "example.test/own": "x" });
    await tend([desired(sick())]);
    await tend([]);
    expect(live().taints).toHaveLength(2);
    await clock.pass(61_000);
    await tend([]);
    expect([live().taints, live().conditions.map(({ type }) => type)]).toEqual([[], ["Ready"]]);
    expect(live().labels).toEqual({ ...plain, "example.test/own": "x" });
    const before = patches();
    await tend([]);
    expect(patches()).toBe(before);
  });

  test("clears, after a restart, what it is told to have been ours", async () => {
    await tend([desired(sick())]);
    mirror = open();
    await tend([], [live()]);
    await clock.pass(61_000);
    await tend([], [live()]);
    expect(live().taints).toEqual([]);
    expect(live().labels["navarch.dev/pool"]).toBeUndefined();
  });

  test("takes away what the configuration does not want shown", async () => {
    const plain = live().labels;
    await tend([desired(sick())]);
    const off = { condition: false, labels: false, taint: false };
    await tend([desired({ ...sick(), mirror: off })]);
    expect([live().taints, live().conditions.map(({ type }) => type)]).toEqual([[], ["Ready"]]);
    expect(live().labels).toEqual(plain);
    const before = patches();
    await tend([desired({ ...sick(), mirror: off })]);
    expect(patches()).toBe(before);
  });

  describe("a taint of ours that a person sets", () => {
    const theirs = { key: "navarch.dev/unhealthy", value: "true", effect: "NoSchedule" };
    const keys = (): string[] => live().taints.map(({ key }) => key);

    test("on a healthy node is removed, and that is said, each time", async () => {
      await tend([desired()]);
      for (const count of [1, 2]) {
        kube.person.taint(NAME, theirs);
        await tend([desired()]);
        await clock.pass(10_000);
        await tend([desired()]);
        expect(keys()).toEqual([]);
        expect(removed).toHaveLength(count);
      }
      expect(removed[0]).toBe(
        "taint navarch.dev/unhealthy removed: it is Navarch's own. " +
          "To keep work off the Node, use kubectl cordon",
      );
      expect(lines).toEqual(removed);
    });

    test("between a write of ours and its answer is noticed all the same", async () => {
      await tend([desired()]);
      const old = live();
      kube.person.taint(NAME, theirs);
      // The copy is old, and the object comes with the answer about a condition.
      const more = { conditions: desired(sick()).conditions };
      await tend([desired({ ...more, object: old })]);
      await tend([desired(more)]);
      await tend([desired(more)]);
      expect(keys()).toEqual([]);
      expect(removed).toHaveLength(1);
    });

    test("is no person's if we put it there: not after a repair, not after a restart", async () => {
      await tend([desired(sick())]);
      expect(keys()).toContain("navarch.dev/unhealthy");
      await tend([desired()]);
      expect(keys()).toEqual([]);
      await tend([desired(sick())]);
      mirror = open();
      await tend([desired()]);
      expect(keys()).toEqual([]);
      // A write that was on its way when it stopped being wanted.
      await tend([desired(sick())]);
      await tend([desired()]);
      kube.person.taint(NAME, theirs);
      await tend([desired()]);
      expect(keys()).toEqual([]);
      expect(removed).toEqual([]);
    });
  });

  test("touches no other object of the name", async () => {
    const old = live();
    seedAgain(kube, NAME);
    await tend([desired({ ...sick(), object: old })]);
    expect([live().taints, live().conditions, mirror.troubles()]).toEqual([[], [], []]);
    await tend([desired(sick())]);
    expect(live().taints).toHaveLength(2);
  });

  test("backs off from a refusal, says it once, and goes on when it may", async () => {
    kube.denied.add("patch nodes/status");
    for (let i = 0; i < 60; i++) await tend([desired()]);
    expect(kube.asked.get("patch nodes/status")).toBeLessThanOrEqual(5);
    expect(lines).toHaveLength(1);
    expect(mirror.troubles()).toEqual([
      `${NAME}: forbidden: ${ACCOUNT} may not patch nodes/status (conditions on the Node)`,
    ]);
    kube.denied.delete("patch nodes/status");
    await clock.pass(700_000);
    await tend([desired()]);
    expect([mirror.troubles(), live().conditions.length]).toEqual([[], 3]);
  });

  test("shows the fault while the mark is on its way, and whoever refuses the taint", async () => {
    const faulty = (): boolean =>
      live().conditions.some(({ type, status }) => type === "GPUHealthy" && status === "False");
    await tend([desired()]);
    mirror.tend([desired({ ...sick(), later: true })]);
    await mirror.rest();
    expect(faulty()).toBe(false);
    await clock.pass(1_000);
    await mirror.rest();
    expect([faulty(), live().taints]).toEqual([true, []]);
    await tend([desired()]);
    // An admission webhook over nodes has no word about their status.
    kube.denied.add("patch nodes");
    await tend([desired(sick())]);
    expect([faulty(), live().taints]).toEqual([true, []]);
    await tend([desired(sick("another"))]);
    expect(live().conditions.find(({ type }) => type === "GPUHealthy")?.message).toBe("another");
    kube.denied.delete("patch nodes");
    await clock.pass(700_000);
    await tend([desired(sick("another"))]);
    expect(live().taints).toHaveLength(2);
  });

  test("writes nothing on a Node that another install shows itself on", async () => {
    kube.person.label("nodes", "", NAME, { "navarch.dev/fleet": "other" });
    const before = patches();
    await tend([desired({ ...sick(), fleet: "ours" })]);
    await clock.pass(61_000);
    await tend([]);
    expect(patches()).toBe(before);
    // A machine that was bought is nobody else's.
    await tend([desired({ ...sick(), fleet: null })]);
    expect(live().taints).toHaveLength(2);
  });

  test("puts a taint back ever more rarely while somebody removes it, and says so", async () => {
    const told: string[] = [];
    mirror = openWith({ contested: ({ note }) => void told.push(note) });
    await tend([desired(sick())]);
    let puts = 0;
    for (let second = 0; second < 37; second++) {
      kube.person.untaint(NAME, "navarch.dev/unhealthy");
      await tend([desired(sick())]);
      if (live().taints.some(({ key }) => key === "navarch.dev/unhealthy")) puts += 1;
      await clock.pass(1_000);
    }
    expect(puts).toBeLessThanOrEqual(6);
    expect(told).toHaveLength(1);
    expect(told[0]).toContain("another client removed or changed its taints 3 times");
    expect(mirror.troubles()).toHaveLength(1);
    // Something else to show does not wait for that.
    await tend([desired()]);
    expect(live().taints).toEqual([]);
    expect(mirror.troubles()).toEqual([]);
    await tend([desired(sick())]);
    expect(live().taints).toHaveLength(2);
  });

  test("writes on a few Nodes at once, and on all in the end", async () => {
    let running = 0;
    let most = 0;
    const nodes = Array.from({ length: 100 }, (_, i) => seedNode(kube, `n${i}`));
    const api = {
      watch: kube.watch.bind(kube),
      close: () => undefined,
      call: async (request: Parameters<typeof kube.call>[0]) => {
        running += 1;
        most = Math.max(most, running);
        const answer = await kube.call(request);
        running -= 1;
        return answer;
      },
    };
    kube.setFault({ latencyMs: 5 });
    mirror = openWith({ api });
    await tend(nodes.map((object) => desired({ object })));
    expect(most).toBe(8);
    expect(nodes.filter(({ name }) => liveNode(kube, name).conditions.length === 2)).toHaveLength(
      100,
    );
  });
});
