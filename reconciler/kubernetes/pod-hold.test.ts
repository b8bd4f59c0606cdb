import { describe, expect, test } from "bun:test";
import type { NodeId } from "../../schema/id.ts";
import type { PodEvent } from "./drain-sight.ts";
import { PodHolds } from "./pod-hold.ts";
import { readPod } from "./read-pod.ts";

const host = { node: "fleet-p-0-1" as NodeId, name: "gpu-1", uid: "u1" };

function pod(name: string, metadata: object = {}, more: { node?: string; phase?: string } = {}) {
  const { node = "gpu-1", phase = "Running" } = more;
  const json = {
    metadata: { namespace: "work", name, uid: `uid-${name}`, resourceVersion: "1", ...metadata },
    spec: { nodeName: node },
    status: { phase },
  };
  const read = readPod(json);
  if (read === null) throw new Error("no pod");
  return read;
}
const hold = (value = "true") => ({ annotations: { "navarch.dev/hold": value } });

function look(holds: PodHolds, hosts = [host]): string[] {
  const events: PodEvent[] = [];
  holds.tend(hosts, (event) => void events.push(event));
  return events.map(({ pod: { name }, reason }) => `${reason} ${name}`);
}

describe("PodHolds", () => {
  test("says of a held pod on one of our Nodes, once, that its hold has no effect", () => {
    const holds = new PodHolds();
    const held = pod("held", hold());
    holds.note(null, held);
    holds.note(null, pod("label", { labels: { "navarch.dev/hold": "Yes" } }));
    holds.note(null, pod("off", hold("false")));
    holds.note(null, pod("plain"));
    holds.note(null, pod("elsewhere", hold(), { node: "other" }));
    holds.note(null, pod("waiting", hold(), { node: "" }));
    holds.note(null, pod("over", hold(), { phase: "Succeeded" }));
    expect(look(holds)).toEqual(["HoldIgnored held", "HoldIgnored label"]);
    expect(look(holds)).toEqual([]);
    expect(holds.lines()[0]).toBe(
      "navarch.dev/hold on pod work/held has no effect: it counts on the Node alone. " +
        "To hold the Node: kubectl annotate node gpu-1 navarch.dev/hold=true",
    );
    expect(holds.lines()).toHaveLength(2);
    // Removed and set once more, it is said once more.
    holds.note(held, pod("held"));
    expect(look(holds)).toEqual([]);
    expect(holds.lines()).toHaveLength(1);
    holds.note(pod("held"), held);
    expect(look(holds)).toEqual(["HoldIgnored held"]);
    holds.note(held, null);
    expect(look(holds)).toEqual([]);
    expect(holds.lines()).toHaveLength(1);
  });

  test("is bounded at each look, and comes to the rest later", () => {
    const holds = new PodHolds();
    for (let i = 0; i < 50; i++) holds.note(null, pod(`p${i}`, hold()));
    expect([look(holds).length, look(holds).length, look(holds).length]).toEqual([20, 20, 10]);
    expect(look(holds)).toEqual([]);
    expect(holds.lines()).toHaveLength(20);
  });
});
