import { eventOf } from "./cluster-event.ts";
import type { NodeId } from "../../schema/id.ts";
import { beforeEach, describe, expect, test } from "bun:test";
import { seedNode } from "../../test/fixture/kubernetes/node.ts";
import { ProcessClock, VirtualClock } from "../../simulator/engine/clock.ts";
import { openFakeKube } from "../../simulator/cluster/fake.ts";
import type { FakeKube } from "../../simulator/cluster/fake.ts";
import { KubeEvents } from "./kube-event.ts";
import type { KubeEvent } from "./event-request.ts";

let clock: VirtualClock;
let kube: FakeKube;
let events: KubeEvents;
let lines: string[];

beforeEach(() => {
  clock = new VirtualClock();
  kube = openFakeKube({ clock });
  seedNode(kube, "gpu-17");
  lines = [];
  const log = (_level: string, line: string) => void lines.push(line);
  events = new KubeEvents({ api: kube, clock, random: () => 0.5, log }, "navarch-0");
});

const event = (more: Partial<KubeEvent> = {}): KubeEvent => ({
  name: "gpu-17",
  uid: "u1",
  pool: "a100",
  type: "Warning",
  reason: "GpuFault",
  action: "cordon",
  note: "xid 79 on gpu 3",
  ...more,
});

async function tell(...told: KubeEvent[]): Promise<void> {
  for (const one of told) events.tell(one);
  const rest = events.rest();
  await clock.pass(10);
  await rest;
}

type Meta = { name: string };
type Stored = { reason: string; note: string; series?: { count: number } };
const stored = (): Stored[] => kube.list("events", "default") as unknown as Stored[];

describe("KubeEvents", () => {
  test("puts one on the Node, with its UID and in Kubernetes' form", async () => {
    await tell(event({ reason: "gpu-fault found", note: "ü".repeat(2_000) }));
    expect(stored()).toMatchObject([
      {
        metadata: { namespace: "default" },
        eventTime: "2026-01-01T00:00:00.000000Z",
        reportingController: "navarch.dev/reconciler",
        reportingInstance: "navarch-0",
        type: "Warning",
        reason: "GpuFaultFound",
        action: "Cordon",
        regarding: { apiVersion: "v1", kind: "Node", name: "gpu-17", uid: "u1" },
      },
    ]);
    expect(Buffer.byteLength(stored()[0]?.note ?? "")).toBeLessThanOrEqual(1_024);
  });

  test("makes one a node, reason and ten minutes, and counts the others", async () => {
    await tell(event());
    for (let i = 0; i < 30; i++) {
      await clock.pass(10_000);
      await tell(event());
    }
    expect(stored()).toHaveLength(1);
    // The last few wait for their minute.
    await clock.pass(61_000);
    expect(stored()[0]?.series?.count).toBe(31);
    expect(kube.asked.get("patch events")).toBeLessThanOrEqual(6);
    await clock.pass(600_000);
    await tell(event());
    expect(stored()).toHaveLength(2);
  });

  test("shows the newest text, within seconds, on the same event", async () => {
    await tell(event({ reason: "UncordonSeen", note: "cordoned again, as configured" }));
    await clock.pass(5_000);
    await tell(event({ reason: "UncordonSeen", note: "the repair is cancelled" }));
    await clock.pass(100);
    expect(stored()).toMatchObject([{ note: "the repair is cancelled", series: { count: 2 } }]);
    expect(kube.asked.get("create events")).toBe(1);
  });

  test("a text that changes each second costs few requests, and the last one stays", async () => {
    await tell(event());
    for (let i = 0; i < 300; i++) {
      await clock.pass(1_000);
      await tell(event({ note: `${300 - i} pods` }));
    }
    await clock.pass(61_000);
    expect(stored()).toMatchObject([{ note: "1 pods", series: { count: 301 } }]);
    expect(kube.asked.get("patch core/events")).toBeLessThanOrEqual(12);
  });

  test("what waited while the process was frozen is not written: another one may lead", async () => {
    const frozen = new ProcessClock(clock);
    const ports = { api: kube, clock: frozen, random: () => 0.5, log: () => undefined };
    events = new KubeEvents(ports, "navarch-1");
    await tell(event({ note: "first" }));
    await tell(event({ note: "second" }));
    frozen.stop();
    await clock.pass(14_000);
    frozen.goOn();
    await clock.pass(120_000);
    expect(stored().map(({ note }) => note)).toEqual(["first"]);
    await tell(event({ note: "third" }));
    await clock.pass(61_000);
    expect(stored().map(({ note }) => note)).toEqual(["third"]);
  });

  test("what waits when its ten minutes end is still written", async () => {
    await tell(event());
    await clock.pass(599_000);
    for (const note of ["two", "three"]) await tell(event({ note }));
    await clock.pass(1_500);
    await tell(event({ note: "four" }));
    await clock.pass(100);
    expect(stored().map(({ note }) => note)).toEqual(["three", "four"]);
  });

  test("different pods and budgets of one reason are different events, up to twenty", async () => {
    const kind = "Pod" as const;
    const pod = (i: number) => ({ kind, namespace: "ns", name: `p${i}`, uid: `p${i}` });
    await tell(...[1, 2].map((i) => event({ reason: "Deleted", note: `${i}`, related: pod(i) })));
    await tell(...["a", "b"].map((about) => event({ reason: "Budget", note: about, about })));
    expect(stored().map(({ note }) => note)).toEqual(["1", "2", "a", "b"]);
    expect(stored()[0]).toMatchObject({ related: { kind: "Pod", namespace: "ns", name: "p1" } });
    for (let i = 3; i < 200; i++) {
      await tell(event({ reason: "Deleted", note: `${i}`, related: pod(i) }));
    }
    await clock.pass(61_000);
    expect(stored().filter(({ reason }) => reason === "Deleted")).toHaveLength(21);
    expect(stored().at(-1)).toMatchObject({ note: "199", series: { count: 179 } });
  });

  test("about a pod lies in the pod's namespace, and a refusal there stops no other", async () => {
    kube.seed("namespaces", { metadata: { name: "ns" } });
    kube.seed("namespaces", { metadata: { name: "dying" } });
    kube.terminating.add("dying");
    const onPod = (namespace: string, uid: string) => event({ namespace, name: "web-0", uid });
    await tell(onPod("ns", "p1"), onPod("dying", "p2"), onPod("nowhere", "p3"), event());
    await tell(onPod("ns", "p4"), event({ uid: "u2" }));
    expect(kube.list("events", "ns")).toMatchObject([
      { regarding: { kind: "Pod", namespace: "ns", name: "web-0", uid: "p1" } },
      { regarding: { kind: "Pod", uid: "p4" } },
    ]);
    expect(stored()).toHaveLength(2);
  });

  test("without the rule for texts, a new text is a new event, once a minute", async () => {
    kube.denied.add("patch core/events");
    await tell(event());
    for (let i = 0; i < 12; i++) {
      await clock.pass(10_000);
      await tell(event({ note: `text ${i}` }));
    }
    await clock.pass(61_000);
    expect(stored().at(-1)?.note).toBe("text 11");
    expect(stored().length).toBeLessThanOrEqual(5);
    expect(kube.asked.get("patch core/events")).toBe(1);
  });

  test("an event that somebody deleted is written again with the next text", async () => {
    await tell(event());
    const [name] = kube.list("events", "default").map(({ metadata }) => (metadata as Meta).name);
    kube.person.remove("events", "default", name ?? "");
    await clock.pass(5_000);
    await tell(event({ note: "again" }));
    await clock.pass(100);
    expect(stored()).toMatchObject([{ note: "again" }]);
  });

  test("a lost answer makes no second event", async () => {
    kube.setFault({ lostAnswers: 1 });
    await tell(event());
    kube.setFault({ lostAnswers: 0 });
    await clock.pass(3_000);
    await tell(event({ note: "more" }));
    await clock.pass(100);
    expect(stored()).toMatchObject([{ note: "more" }]);
  });

  test("keeps nodes, objects and reasons apart", async () => {
    await tell(event(), event({ uid: "u2" }), event({ reason: "Drained" }));
    expect(stored()).toHaveLength(3);
  });

  test("drops what the server refuses, says so once, and tries again after a while", async () => {
    kube.denied.add("create events");
    await tell(event(), ...[..."abcdefgh"].map((reason) => event({ reason })));
    for (const reason of "ijklmnop") await tell(event({ reason }));
    expect([stored().length, lines.length]).toEqual([0, 1]);
    expect(events.dropped).toBe(17);
    expect(kube.asked.get("create events")).toBeLessThanOrEqual(9);
    kube.denied.delete("create events");
    await clock.pass(60_000);
    await tell(event({ reason: "Z" }));
    expect(stored()).toHaveLength(1);
  });

  test("loses what is told within two seconds of a busy moment, and more if it lasts", async () => {
    kube.setFault({ storms: [{ status: 429, probability: 1 }] });
    await tell(event());
    kube.setFault({ storms: [] });
    await tell(event({ reason: "lost" }));
    await clock.pass(2_000);
    await tell(event({ reason: "Told" }));
    expect(stored()).toHaveLength(1);
    kube.setFault({ storms: [{ status: 429, probability: 1 }] });
    for (const passMs of [0, 2_000, 4_000]) {
      await clock.pass(passMs);
      await tell(event({ reason: `r${passMs}` }));
    }
    kube.setFault({ storms: [] });
    await clock.pass(7_000);
    await tell(event({ reason: "lost" }));
    await clock.pass(1_000);
    await tell(event({ reason: "Again" }));
    expect(stored()).toHaveLength(2);
  });

  test("is bounded", async () => {
    kube.setFault({ hang: true });
    for (let i = 0; i < 6_000; i++) events.tell(event({ uid: `u${i}` }));
    expect(events.dropped).toBe(1_000);
    events.close();
  });
});

test("eventOf() calls a node drained when it is empty, and warns when work was cut off", () => {
  const about = { at: 1, node: "n" as NodeId, pool: null, session: null, actor: "navarch" };
  const of = (message: string, emptied: boolean) =>
    eventOf({ ...about, kind: "node.drained", message, ...(emptied ? { emptied } : {}) });
  expect(of("no work is left on it", true)).toMatchObject({ reason: "Drained", type: "Normal" });
  const cut = "its drain deadline passed and its work is cut off: 3 pods left";
  expect(of(cut, false)).toMatchObject({ reason: "DrainIncomplete", type: "Warning", note: cut });
  // What the text says does not count: a node may have a part in it.
  expect(of("no work is left on it", false)).toMatchObject({ reason: "DrainIncomplete" });
});
