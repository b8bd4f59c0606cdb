/** What is decided of a node whose Node is NotReady or gone, beside the agent that reports. */
import { describe, expect, test } from "bun:test";
import type { Node } from "../../../schema/node.ts";
import {
  ask,
  kubeSightOf,
  NOW,
  OURS,
  poolOf,
  type Setting,
  settingOf,
  stepOf,
  waitOf,
} from "../../../test/world/ask.ts";
import { agentOf, gpuOf, kubeOf, nodeOf, sessionOf } from "../../../test/world/part.ts";

const MIN = 60_000;
const AT = NOW - 20 * MIN;
const fact = { notReady: "Unknown (X)", notReadySince: AT, missedAt: AT + MIN } as const;
const lost = kubeOf({ ...fact, lostAt: NOW - 1 });
const implied = { ladder: ["replace"], implied: true } as const;
const health = { ...poolOf().health, unhealthyThreshold: 3 };
const setting: Setting = {
  pool: { health, repair: implied } as never,
  sight: { kube: kubeSightOf() },
};

const well = (over: Partial<Node> = {}): Node => {
  const node = nodeOf("n", { kube: lost, ...over });
  return { ...node, health: { ...node.health, verdict: "healthy", lastCheckAt: NOW - 1 } };
};
const isolated = (over: Partial<Node> = {}): Node =>
  well({
    phase: { kind: "suspect", since: AT },
    session: sessionOf({ openedAt: NOW - 1 }),
    cordon: OURS,
    ...over,
  });
const second = { ...well(), id: "m" as Node["id"], slot: 1 };

describe("a node that its cluster lost", () => {
  test("is suspect, and is cordoned, with the reason", () => {
    expect(ask(well(), setting).action).toMatchObject({
      to: { kind: "suspect" },
      session: "open",
      because: [
        `its Node k is not Ready in Kubernetes (Unknown (X)) since ${new Date(AT).toISOString()}`,
      ],
    });
    const open = isolated({ cordon: { product: null, human: null } });
    expect(stepOf(open, setting)).toBe("cordon");
    const doubted = { ...setting, others: [second] };
    expect(waitOf(open, doubted)).toContain("cluster: 2 of 2 Nodes of the fleet are NotReady");
  });

  test("is rebooted once before it is replaced, unless a ladder says otherwise", () => {
    const kube = { ...lost, isolatedUid: lost.uid, unschedulable: true, own: true };
    expect(stepOf(isolated({ kube }), setting)).toBe("drain repair");
    const tried = sessionOf({ openedAt: NOW - 1, attempts: { reboot: 1 } });
    expect(stepOf(isolated({ kube, session: tried }), setting)).toBe("drain replace");
    const chosen = { ...setting, pool: { health, repair: { ladder: ["replace"] } } as never };
    expect(stepOf(isolated({ kube }), chosen)).toBe("drain replace");
    expect(waitOf(isolated({ kube }), { ...setting, others: [second] })).toContain(
      "cluster: 2 of 2",
    );
    expect(waitOf(isolated({ kube }), { ...setting, sight: { kube: null } })).toContain(
      "cluster: no cluster",
    );
    const quiet = isolated({ kube });
    const silent = { ...quiet, health: { ...quiet.health, silentSince: NOW - MIN } };
    expect(waitOf(silent, { ...setting, others: [second] })).toContain("cluster: 2 of 2");
    const theirs = { ...kube, others: ["kubectl"] };
    expect(waitOf(isolated({ kube: theirs }), setting)).toBe(
      "cluster: Node k is cordoned by kubectl",
    );
  });

  test("has until its reboot is late to be Ready again", () => {
    const kube = { ...lost, isolatedUid: lost.uid, unschedulable: true, own: true };
    const booted = (agoMs: number, more: Partial<Node> = {}) =>
      isolated({
        kube,
        phase: { kind: "repairing", since: NOW - agoMs, rung: "reboot", bootId: "old" },
        ...more,
      });
    expect(waitOf(booted(19 * MIN), setting)).toBe("cluster: rebooted; its Node is not Ready yet");
    expect(ask(booted(20 * MIN), setting).action).toMatchObject({
      to: { kind: "suspect" },
      because: ["still unhealthy after its reboot"],
    });
    const back = kubeOf({ isolatedUid: lost.uid, unschedulable: true, own: true });
    expect(stepOf(booted(5 * MIN, { kube: back }), setting)).toBe("uncordon");
  });
});

describe("a node that serves, whose Node offers fewer GPUs than its agent counts", () => {
  const agent = agentOf({ gpus: [gpuOf(0), gpuOf(1)] });
  const offers = (gpus: number | null, over: Partial<Node> = {}) =>
    well({ agent, kube: kubeOf({ gpus }), ...over });
  const lack = (what: string) =>
    `human: Node k ${what} its 2 GPUs, so no pod finds the others: look at its device plugin`;

  test("is told, and nothing is done to it", () => {
    expect(waitOf(offers(0), setting)).toBe(lack("offers 0 of"));
    expect(waitOf(offers(1), setting)).toBe(lack("offers 1 of"));
    expect(waitOf(offers(null), setting)).toBe(lack("does not offer"));
    expect(ask(offers(0), setting).action).toBeUndefined();
  });

  test("is not told where as many or more are offered, nobody can tell, or others say why", () => {
    for (const gpus of [2, 16]) expect(ask(offers(gpus), setting).wait).toBeUndefined();
    const dark = { ...setting, sight: { kube: kubeSightOf({ dark: "away" }) } };
    expect(ask(offers(0), dark).wait).toBeUndefined();
    expect(ask(offers(0), { ...setting, sight: {} }).wait).toBeUndefined();
    const { kubernetes } = settingOf({});
    const config = { kubernetes: { ...kubernetes, ready: "node" as const } };
    expect(ask(offers(0), { ...setting, config }).wait).toBeUndefined();
    const theirs = kubeOf({ gpus: 0, unschedulable: true, others: ["kubectl"] });
    expect(waitOf(well({ agent, kube: theirs }), setting)).toContain("cordoned in Kubernetes");
  });
});
