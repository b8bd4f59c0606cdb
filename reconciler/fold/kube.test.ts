import { describe, expect, test } from "bun:test";
import { newNode } from "./new-node.ts";
import { isBrokenInService, loopOf } from "../safety/uncordoned.ts";
import { foldKube } from "./kube.ts";
import { foldReview } from "./uncordon.ts";
import { evidenceKeys, foldWaiver, isWaived } from "./waiver.ts";
import type { KubeNode } from "../scheduler/kubernetes/object.ts";
import type { Node } from "../../schema/node.ts";
import type { NodeId, OperationId, PoolName, SessionId } from "../../schema/id.ts";
import type { HeldFinding } from "../../schema/held.ts";

const NOW = 1_000_000;

function object(more: Partial<KubeNode> = {}): KubeNode {
  return {
    name: "gpu-1",
    uid: "u1",
    resourceVersion: "5",
    unschedulable: false,
    own: false,
    others: [],
    annotations: {},
    labels: {},
    taints: [],
    conditions: [],
    providerId: null,
    systemUuid: null,
    bootId: null,
    ips: [],
    hostname: null,
    gpus: 8,
    ...more,
  };
}

function node(more: Partial<Node> = {}): Node {
  const id = "n1" as NodeId;
  const made = newNode({ id, pool: "p" as PoolName, slot: 0, gen: 1, at: 0, replaces: null });
  return { ...made, phase: { kind: "serving", since: 1 }, ...more };
}

/** A person lifts the mark and leaves what we wrote beside it. */
const lifted = (): KubeNode => object({ annotations: { "navarch.dev/session": "s1" } });

const seen = (one: KubeNode | null) => ({ object: one, by: "provider_id" as const });
const fold = (from: Node, one: KubeNode | null, rule: "cancel" | "enforce" = "cancel") =>
  foldKube(from, seen(one), rule, NOW);

/** A node whose mark was read back on object `u1`, in the middle of a repair. */
function marked(more: Partial<Node> = {}): Node {
  const bound = fold(node(), object({ unschedulable: true, own: true }))?.node ?? node();
  const by = { by: "navarch", why: "xid 79", at: 2 };
  return {
    ...bound,
    kube: bound.kube === null ? null : { ...bound.kube, isolatedUid: "u1" },
    cordon: { product: by, human: null },
    phase: { kind: "suspect", since: 2 },
    session: {
      id: "s1" as SessionId,
      openedAt: 2,
      bootId: null,
      instanceId: null,
      reasons: [],
      attempts: {},
      definitive: true,
      epoch: 0,
    },
    ...more,
  };
}

function held(key: string): HeldFinding {
  const judgement = { rule: "fatal", result: "unhealthy", because: "x", definitive: true };
  return { key, judgement, count: 1, firstAt: 1, lastAt: 1 } as unknown as HeldFinding;
}

function sick(from: Node, keys: string[]): Node {
  const health = { ...from.health, held: keys.map(held), verdict: "unhealthy" as const };
  return { ...from, health };
}

describe("foldKube()", () => {
  test("ties a node to its object, and says so once", () => {
    const first = fold(node(), object());
    expect(first?.node.kube).toMatchObject({ name: "gpu-1", uid: "u1", isolatedUid: null });
    expect(first?.events.map((event) => event.kind)).toEqual(["kube.matched"]);
    expect(fold(first?.node ?? node(), object({ resourceVersion: "6" }))).toBeNull();
  });

  test("a new UID is a new object: nothing is marked on it", () => {
    const from = marked();
    const next = fold(from, object({ uid: "u2" }));
    expect(next?.node.kube).toMatchObject({ uid: "u2", isolatedUid: null });
    expect(next?.node.cordon.product).not.toBeNull();
    expect(next?.node.session).not.toBeNull();
  });

  test("names that its object had are remembered, each once, eight at most", () => {
    let from = fold(node(), object())?.node ?? node();
    expect(from.kube?.former).toBeUndefined();
    for (const [i, name] of ["gpu-2", "gpu-1", "gpu-2", "gpu-3"].entries()) {
      from = fold(from, object({ name, uid: `v${i}` }))?.node ?? from;
    }
    expect(from.kube?.former).toEqual([
      { name: "gpu-2", at: NOW },
      { name: "gpu-1", at: NOW },
    ]);
    for (let i = 0; i < 20; i++) from = fold(from, object({ name: `x${i}` }))?.node ?? from;
    expect(from.kube?.former).toHaveLength(8);
  });

  test("a mark that a person lifted calls the repair off and waives what was known", () => {
    const from = sick(marked(), ["xid/79/g1"]);
    const next = fold(from, lifted());
    expect(next?.node).toMatchObject({
      phase: { kind: "serving" },
      session: null,
      cordon: { product: null, human: null },
      waiver: { evidence: ["fatal/xid/79/g1"] },
      lastSession: { how: "cancelled" },
    });
    expect(next?.node.fence).toBe(from.fence + 1);
    expect(next?.events.map(({ kind, actor }) => [kind, actor])).toEqual([
      ["kube.uncordoned", "human"],
      ["kube.uncordoned_broken", "human"],
    ]);
    expect(next?.events[1]?.message).toContain("although its hardware is broken: x");
    expect(next?.node === undefined ? false : isBrokenInService(next.node)).toBe(true);
  });

  test("a machine that nobody bought is not said to be replaceable", () => {
    const said = (more: Partial<Node>) => {
      return fold(sick(marked(more), ["a"]), lifted())?.events[1]?.message;
    };
    expect(said({})).toContain("Run `navarch replace n1`");
    expect(said({ slot: null })).not.toContain("replace");
    expect(said({ slot: null })).toEndWith("Cordon it again until it is repaired");
  });

  test("whoever wrote the object after the mark is named as the one who lifted it", () => {
    const next = fold(sick(marked(), ["a"]), { ...lifted(), touched: ["node-janitor", "x"] });
    expect(next?.events[0]?.message).toContain("uncordoned in Kubernetes by node-janitor or x");
    expect(next?.node.kube?.uncordons).toEqual([{ at: NOW, by: "node-janitor or x" }]);
    const silent = fold(sick(marked(), ["a"]), lifted());
    expect(silent?.events[0]?.message).toContain("uncordoned in Kubernetes by hand");
    // What may pass by itself is no certainty, and is not shouted about.
    const mild = fold(marked(), lifted());
    expect(mild?.events.map(({ kind }) => kind)).toEqual(["kube.uncordoned"]);
  });

  test("a third time within an hour is an automation's, and it is named", () => {
    let from = marked();
    const kinds: string[][] = [];
    for (let i = 0; i < 12; i++) {
      const next = fold(from, { ...lifted(), touched: ["node-janitor"] });
      kinds.push((next?.events ?? []).map(({ kind }) => kind));
      const kube = next?.node.kube ?? null;
      const again = kube === null ? null : { ...kube, isolatedUid: "u1", unschedulable: true };
      from = { ...from, kube: again };
    }
    expect(kinds.slice(0, 3)).toEqual([
      ["kube.uncordoned"],
      ["kube.uncordoned"],
      ["kube.uncordon_loop", "kube.uncordoned"],
    ]);
    expect(from.kube?.uncordons).toHaveLength(8);
    expect(loopOf(from.kube?.uncordons ?? [], NOW)?.by).toEqual(["node-janitor"]);
    expect(loopOf(from.kube?.uncordons ?? [], NOW + 3_600_000)).toBeNull();
  });

  test("broken hardware in service is brought up again each time the review is due", () => {
    const given = fold(sick(marked(), ["a"]), lifted())?.node ?? node();
    const hour = 3_600_000;
    expect(foldReview(given, hour, NOW + hour - 1)).toBeNull();
    const first = foldReview(given, hour, NOW + hour);
    expect(first?.event).toMatchObject({ kind: "kube.uncordoned_broken", at: NOW + hour });
    expect(first?.event.message).toStartWith("reminder: ");
    const reminded = first?.node ?? given;
    expect(foldReview(reminded, hour, NOW + 2 * hour - 1)).toBeNull();
    expect(foldReview(reminded, hour, NOW + 10 * hour)).not.toBeNull();
    expect(foldReview(reminded, 0, NOW + 10 * hour)).toBeNull();
    // Cordoned again by anybody, or on its way out, there is nothing to say.
    const kube = reminded.kube === null ? null : { ...reminded.kube, unschedulable: true };
    expect(foldReview({ ...reminded, kube }, hour, NOW + 10 * hour)).toBeNull();
    const cordon = { product: null, human: { by: "p", why: "", at: 1 } };
    expect(foldReview({ ...reminded, cordon }, hour, NOW + 10 * hour)).toBeNull();
  });

  test("enforce marks it once more, and the second time is the person's", () => {
    const once = fold(sick(marked(), ["a"]), lifted(), "enforce");
    expect(once?.node.session).not.toBeNull();
    expect(once?.node.kube).toMatchObject({ isolatedUid: null, reassertedAt: NOW });
    const again = once?.node ?? node();
    const remarked = {
      ...again,
      kube: again.kube === null ? null : { ...again.kube, isolatedUid: "u1" },
    };
    expect(fold(remarked, lifted(), "enforce")?.node.session).toBeNull();
  });

  test.each(["n1.3.cordon", "n1.4.uncordon", "n1.5.mirror"])(
    "while %s is out a lifted mark says nothing",
    (op) => {
      const next = fold(marked({ operation: op as OperationId }), lifted());
      expect(next?.node.session ?? marked().session).not.toBeNull();
    },
  );

  test("an object that came back without our words, as from an old backup, is marked anew", () => {
    const next = fold(sick(marked(), ["a"]), object());
    expect(next?.node.kube).toMatchObject({ isolatedUid: null });
    expect(next?.node.session).not.toBeNull();
    expect(next?.node.waiver).toBeNull();
  });

  test("what is ending stays ending", () => {
    const phase = {
      kind: "terminating",
      since: 3,
      purpose: "replace",
      accepted: null,
      notBefore: 0,
    } as const;
    const next = fold(marked({ phase }), lifted());
    expect(next?.node.phase).toEqual(phase);
    expect(next?.node.session).not.toBeNull();
  });

  test("a share that was wiped while the mark stands is written again, not fought over", () => {
    const wiped = object({ unschedulable: true, own: false, others: ["kubectl-cordon"] });
    const next = fold(marked(), wiped);
    expect(next?.node.kube).toMatchObject({ isolatedUid: null, others: ["kubectl-cordon"] });
    expect(next?.node.session).not.toBeNull();
    expect(next?.events.map((event) => event.kind)).toEqual(["kube.cordoned"]);
  });

  test("a foreign mark is shown and moves nothing", () => {
    const bound = fold(node(), object())?.node ?? node();
    const next = fold(bound, object({ unschedulable: true, others: ["kubectl"] }));
    expect(next?.node.kube).toMatchObject({ others: ["kubectl"], isolatedUid: null });
    expect(next?.node.cordon).toEqual({ product: null, human: null });
    const after = fold(next?.node ?? node(), object());
    expect(after?.node.kube?.others).toEqual([]);
    expect(after?.node.waiver).toBeNull();
  });

  test("an object that is gone is said once and holds no mark", () => {
    const next = fold(marked(), null);
    expect(next?.node.kube).toMatchObject({ absentSince: NOW, isolatedUid: null });
    expect(fold(next?.node ?? node(), null)).toBeNull();
  });
});

describe("isWaived()", () => {
  const waiver = { by: "human", why: "", at: 1, evidence: ["fatal/a"] };
  test("holds for the evidence that was known, and for nothing new", () => {
    expect(isWaived(sick(node({ waiver }), ["a"]))).toBe(true);
    expect(isWaived(sick(node({ waiver }), ["a", "b"]))).toBe(false);
    expect(isWaived(sick(node(), ["a"]))).toBe(false);
  });
  test("ends when all of it has been gone once", () => {
    expect(foldWaiver(sick(node({ waiver }), ["a"]))).toBeNull();
    expect(foldWaiver(node({ waiver }))?.waiver).toBeNull();
    expect(evidenceKeys(node())).toEqual([]);
  });
});
