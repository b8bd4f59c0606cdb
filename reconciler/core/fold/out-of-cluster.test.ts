/** Nodes whose Node is missing or NotReady: what is told once, and when one counts as lost. */
import { describe, expect, test } from "bun:test";
import { instanceOf, kubeOf, nodeOf, unboughtOf } from "../../../test/world/part.ts";
import type { KubeFact, Node } from "../../../schema/node.ts";
import { verdictOfNode } from "../fleet.ts";
import { sayOutNext } from "../say/hold.ts";
import { type ClusterTime, foldMissing, foldOutOfCluster } from "./out-of-cluster.ts";

const MIN = 60_000;
const kube = kubeOf({ name: "gpu-1", absentSince: 1_000 });
const node = nodeOf("n1", { instance: instanceOf(), kube });

describe("foldMissing()", () => {
  test("once the patience is over, and once only", () => {
    expect(foldMissing(node, 500, 1_499)).toBeNull();
    const told = foldMissing(node, 500, 1_500);
    const message = sayOutNext({ name: "gpu-1", since: 1_000, shows: null }, node.id);
    expect(told?.node).toEqual({ ...node, kube: { ...kube, missedAt: 1_500 } });
    expect(told?.event).toMatchObject({ at: 1_500, kind: "kube.lost", node: node.id, message });
    expect(message).toBe(
      "Node gpu-1 is missing in Kubernetes since 1970-01-01T00:00:01.000Z, so no pod can be placed " +
        "there: restart its kubelet, which registers the Node again, or run `navarch replace n1`",
    );
    expect(foldMissing(told?.node ?? node, 500, 99_999)).toBeNull();
  });

  test("never of a Node that is there", () => {
    expect(foldMissing({ ...node, kube: kubeOf() }, 0, 99_999)).toBeNull();
    expect(foldMissing({ ...node, kube: null }, 0, 99_999)).toBeNull();
  });
});

const AT = 100 * MIN;
const NOT_READY = { notReady: "Unknown (NodeStatusUnknown)", notReadySince: AT } as const;
const lame = (fact: Partial<KubeFact> = {}, more: Partial<Node> = {}): Node => {
  const one = nodeOf("n1", { instance: instanceOf(), kube: kubeOf({ ...NOT_READY, ...fact }) });
  return { ...one, health: { ...one.health, verdict: "healthy" }, ...more };
};

function pass(one: Node, afterMs: number, more: Partial<ClusterTime> & { others?: Node[] } = {}) {
  const { others = [], ...time } = more;
  const config = { enabled: true, readyTimeoutMs: 15 * MIN, notReadyAfterMs: 10 * MIN } as const;
  const whole = { config, now: AT + afterMs, watchedMs: afterMs, ...time };
  return foldOutOfCluster(one, whole, () => [one, ...others]);
}

describe("foldOutOfCluster()", () => {
  test("reports a NotReady Node after a minute, once", () => {
    expect(pass(lame(), MIN - 1)).toBeNull();
    const told = pass(lame(), MIN);
    expect(told?.event).toMatchObject({ kind: "kube.not_ready" });
    expect(told?.node.kube?.missedAt).toBe(AT + MIN);
    expect(verdictOfNode(told?.node ?? lame())).toBe("degraded");
    expect(pass(told?.node ?? lame(), 2 * MIN)).toBeNull();
  });

  const told = { missedAt: AT + MIN };
  const since = 0;
  test.each<[string, Node]>([
    ["whose agent is silent", lame({}, { health: { ...lame().health, silentSince: AT } })],
    ["that is verified for the first time", lame({}, { phase: { kind: "verifying", since } })],
    [
      "that is rebooted",
      lame({}, { phase: { kind: "repairing", since, rung: "reboot", bootId: null } }),
    ],
    [
      "of an older row, whose time is not known",
      nodeOf("n1", { kube: kubeOf({ notReady: "False" }) }),
    ],
  ])("reports none %s", (_, one) => expect(pass(one, 60 * MIN)).toBeNull());

  test("counts it as lost after the time of the configuration, and not before", () => {
    expect(pass(lame(told), 10 * MIN - 1)).toBeNull();
    const lost = pass(lame(told), 10 * MIN);
    expect(lost).toMatchObject({ event: null, node: { kube: { lostAt: AT + 10 * MIN } } });
    expect(verdictOfNode(lost?.node ?? lame())).toBe("unhealthy");
    expect(pass(lost?.node ?? lame(), 20 * MIN)).toBeNull();
  });

  test.each<[string, Node, Parameters<typeof pass>[2]]>([
    ["was not seen for so long", lame(told), { watchedMs: 10 * MIN - 1 }],
    ["was not reported", lame(), { watchedMs: 0 }],
    [
      "has an unmanaged machine",
      { ...unboughtOf("n1"), kube: kubeOf({ ...NOT_READY, ...told }) },
      {},
    ],
    ["is cordoned by others", lame({ ...told, others: ["kubectl"] }), {}],
    [
      "was cordoned when it was removed",
      lame({ absentSince: AT, missedAt: AT, leftCordoned: true }),
      {},
    ],
    ["is out beside another", lame(told), { others: [{ ...lame(told), id: "n2" as Node["id"] }] }],
  ])("does not count a Node as lost that %s", (_, one, more) => {
    expect(pass(one, 60 * MIN, more)).toBeNull();
  });

  test("forgets it once the configuration no longer asks for it", () => {
    const lost = lame({ ...told, lostAt: AT });
    const config = { enabled: true, readyTimeoutMs: 15 * MIN, notReadyAfterMs: 0 } as const;
    expect(pass(lost, 60 * MIN, { config })?.node.kube?.lostAt).toBeUndefined();
    const off = { ...config, notReadyAfterMs: 10 * MIN, enabled: false } as const;
    expect(pass(lost, 60 * MIN, { config: off })?.node.kube?.lostAt).toBeUndefined();
  });
});
