import { beforeEach, describe, expect, test } from "bun:test";
import { seedNode } from "../../../test/fixture/kubernetes/node.ts";
import { VirtualClock } from "../../../simulator/clock.ts";
import { openFakeKube } from "./fake.ts";
import type { FakeKube } from "./fake.ts";
import { KubeEvents } from "./kube-event.ts";
import type { KubeEvent } from "./kube-event.ts";

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
      await tell(event({ note: `again ${i}` }));
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

  test("is bounded", async () => {
    kube.setFault({ hang: true });
    for (let i = 0; i < 6_000; i++) events.tell(event({ uid: `u${i}` }));
    expect(events.dropped).toBe(1_000);
    events.close();
  });
});
