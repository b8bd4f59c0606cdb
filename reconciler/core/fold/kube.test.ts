import { describe, expect, test } from "bun:test";
import { kubeOf, objectOf } from "../../../test/world/part.ts";
import { isNews } from "../kubernetes/mark.ts";
import { newNode } from "./new-node.ts";
import { isRepairCalledOff, loopOf } from "../safety/uncordoned.ts";
import { foldKube } from "./kube.ts";
import { foldReview } from "./uncordon.ts";
import { evidenceKeys, foldSuppression, isSuppressed } from "./suppression.ts";
import type { KubeNode } from "../kubernetes/object.ts";
import type { Node } from "../../../schema/node.ts";
import type { NodeId, OperationId, PoolName, SessionId } from "../../../schema/id.ts";
import type { HeldFinding } from "../../../schema/held.ts";

const NOW = 1_000_000;

const object = (more: Partial<KubeNode> = {}): KubeNode =>
  objectOf({ name: "gpu-1", uid: "u1", resourceVersion: "5", ...more });

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
    from = fold(from, object({ name: "gpu-1" }))?.node ?? from;
    expect(from.kube?.former?.map(({ name }) => name)).toEqual(["gpu-3", "gpu-2"]);
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
    expect(next?.node === undefined ? false : isRepairCalledOff(next.node)).toBe(true);
  });

  test("an unmanaged machine is not said to be replaceable", () => {
    const said = (more: Partial<Node>) => {
      return fold(sick(marked(more), ["a"]), lifted())?.events[1]?.message;
    };
    expect(said({})).toEndWith("`kubectl cordon gpu-1` or `navarch replace n1`");
    expect(said({ slot: null })).not.toContain("replace");
    expect(said({ slot: null })).toEndWith("`kubectl cordon gpu-1` or `navarch drain n1`");
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
    // A cordon by others that resumes nothing silences nothing.
    const kube = reminded.kube === null ? null : { ...reminded.kube, unschedulable: true };
    expect(foldReview({ ...reminded, kube }, hour, NOW + 10 * hour)).not.toBeNull();
    // Held by a person's `navarch cordon`, there is nothing to say.
    const cordon = { product: null, human: { by: "p", why: "", at: 1 } };
    expect(foldReview({ ...reminded, cordon }, hour, NOW + 10 * hour)).toBeNull();
  });

  test("a cordon by others then ends the waiver, and one on a new object does not", () => {
    const given = fold(sick(marked(), ["a"]), lifted())?.node ?? node();
    const cordoned = { unschedulable: true, others: ["kubectl-cordon"] };
    const resumed = fold(given, object(cordoned));
    expect(resumed?.node).toMatchObject({ waiver: null, kube: { others: ["kubectl-cordon"] } });
    expect(kinds(resumed)).toEqual([
      ["kube.cordoned", "cordoned in Kubernetes by kubectl-cordon: its repair resumes", "human"],
    ]);
    expect(fold(given, object({ ...cordoned, uid: "u2" }))?.node.waiver).toEqual(given.waiver);
    const lost = fold(given, null)?.node ?? node();
    expect(fold(lost, object(cordoned))?.node.waiver).toEqual(given.waiver);
    // As a version left it that resumed nothing: an upgrade begins no drain by itself.
    const was = given.kube === null ? null : { ...given.kube, unschedulable: true };
    expect(fold({ ...given, kube: was }, object(cordoned))?.node.waiver).toEqual(given.waiver);
    const named = fold(given, object({ ...cordoned, others: ["a", "b"] }));
    expect(kinds(named)[0]?.[1]).toStartWith("cordoned in Kubernetes by a, b: ");
  });

  test("a drained node that lost its mark has to be seen empty again", () => {
    const from = { since: 2, deadlineAt: 0, drainedAt: 3, purpose: "replace" } as const;
    const phase = { kind: "draining", ...from, sawWork: true, emptied: true } as const;
    const open = { ...phase, since: NOW, drainedAt: null, emptied: false };
    expect(fold(marked({ phase }), lifted(), "enforce")?.node.phase).toEqual(open);
    expect(fold(marked({ phase }), object({ uid: "u2" }))?.node.phase).toEqual(open);
    const kept = fold(marked({ phase }), object({ unschedulable: true, own: true, gpus: 7 }));
    expect(kept?.node.phase).toEqual(phase);
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

  test("an object that came back without our words, as from an old backup, is marked again", () => {
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

describe("isSuppressed()", () => {
  const waiver = { by: "human", why: "", at: 1, evidence: ["fatal/a"] };
  test("holds for the evidence that was known, and for nothing new", () => {
    expect(isSuppressed(sick(node({ waiver }), ["a"]))).toBe(true);
    expect(isSuppressed(sick(node({ waiver }), ["a", "b"]))).toBe(false);
    expect(isSuppressed(sick(node(), ["a"]))).toBe(false);
  });
  test("ends when all of it has been gone once", () => {
    expect(foldSuppression(sick(node({ waiver }), ["a"]))).toBeNull();
    expect(foldSuppression(node({ waiver }))?.waiver).toBeNull();
    expect(evidenceKeys(node())).toEqual([]);
  });
});

const kinds = (found: ReturnType<typeof foldKube>) =>
  (found?.events ?? []).map(({ kind, message, actor }) => [kind, message, actor]);

describe("foldKube() of what the object shows", () => {
  test("takes in all of it the first time, with its proof", () => {
    const shown = object({
      unschedulable: true,
      own: true,
      others: ["b", "a"],
      bootId: "boot-1",
      gpus: 4,
      conditions: [{ type: "Ready", status: "False", reason: "KubeletNotReady", message: "" }],
    });
    const found = foldKube(node(), { ...seen(shown), proof: "instance" }, "cancel", NOW);
    expect(found?.node.kube).toEqual({
      name: "gpu-1",
      uid: "u1",
      by: "provider_id",
      proof: "instance",
      boundAt: NOW,
      unschedulable: true,
      others: ["a", "b"],
      isolatedUid: null,
      reassertedAt: null,
      own: true,
      bootId: "boot-1",
      restUntil: 0,
      refusals: 0,
      refusal: null,
      notReady: "False (KubeletNotReady)",
      notReadySince: NOW,
      gpus: 4,
      hold: false,
      absentSince: null,
    });
    expect(kinds(found)).toEqual([
      ["kube.matched", "matched to Node gpu-1 (by provider_id, proven by instance)", "navarch"],
      ["kube.cordoned", "cordoned in Kubernetes by a, b: left unchanged", "human"],
    ]);
    const bare = fold(node(), object());
    expect(kinds(bare)[0]?.[1]).toBe("matched to Node gpu-1 (by provider_id)");
    expect("proof" in (bare?.node.kube ?? {})).toBe(false);
    expect("holdUnclear" in (bare?.node.kube ?? {})).toBe(false);
    expect("former" in (bare?.node.kube ?? {})).toBe(false);
  });

  test("is bounded, whatever others write", () => {
    const others = Array.from({ length: 20 }, (_, i) => `m${String(i).padStart(2, "0")}`);
    const reason = "x".repeat(500);
    const conditions = [{ type: "Ready", status: "False", reason, message: "" }];
    const shown = object({ unschedulable: true, others, conditions });
    const kube = fold(node(), shown)?.node.kube;
    expect(kube?.others).toEqual(others.slice(0, 16));
    expect(kube?.notReady).toBe(`False (${reason}`.slice(0, 128));
    const ready = object({
      conditions: [{ type: "Ready", status: "True", reason: "", message: "" }],
    });
    expect(fold(node(), ready)?.node.kube?.notReady).toBeNull();
    expect(fold(node(), object({ others }))?.node.kube?.others).toEqual([]);
  });

  const known = fold(node(), object())?.node ?? node();
  test.each<[string, Partial<KubeNode>]>([
    ["its name", { name: "gpu-2" }],
    ["its UID", { uid: "u2" }],
    ["that no work is placed", { unschedulable: true }],
    ["our share", { own: true }],
    ["a hold", { annotations: { "navarch.dev/hold": "true" } }],
    ["its readiness", { conditions: [{ type: "Ready", status: "True", reason: "", message: "" }] }],
    ["its GPUs", { gpus: 7 }],
    ["its boot", { bootId: "b" }],
  ])("is news where it changes %s", (_what, more) => {
    expect(fold(known, object())).toBeNull();
    expect(fold(known, object(more))).not.toBeNull();
  });

  test("is news where who it is known by, or proven by, changes", () => {
    expect(foldKube(known, { object: object(), by: "ip" }, "cancel", NOW)?.node.kube?.by).toBe(
      "ip",
    );
    const proven = foldKube(known, { ...seen(object()), proof: "token" }, "cancel", NOW);
    expect(proven?.node.kube?.proof).toBe("token");
    const lost = { ...known, kube: known.kube === null ? null : { ...known.kube, absentSince: 5 } };
    expect(fold(lost, object())?.node.kube?.absentSince).toBeNull();
    const mark = known.kube === null ? null : { ...known.kube, isolatedUid: "u9" };
    expect(fold({ ...known, kube: mark }, object())?.node.kube?.isolatedUid).toBeNull();
    const ends = fold(known, object({ unschedulable: true, others: ["a"] }))?.node ?? known;
    const others = fold(ends, object({ unschedulable: true, others: ["a", "b"] }));
    expect(kinds(others)).toEqual([
      ["kube.cordoned", "cordoned in Kubernetes by b: left unchanged", "human"],
    ]);
    expect(fold(ends, object({ unschedulable: true, others: [] }))?.node.kube?.others).toEqual([]);
  });

  test("keeps what is remembered of this object, and nothing of it for another one", () => {
    const refusal = { what: "cordon", message: "no", since: 1, at: 2 };
    const uncordons = [{ at: 1, by: "ann" }];
    const former = [{ name: "old", at: 3 }];
    const kept = {
      boundAt: 7,
      restUntil: 8,
      refusals: 2,
      refusal,
      reassertedAt: 9,
      uncordons,
      former,
    };
    const from = { ...known, kube: known.kube === null ? null : { ...known.kube, ...kept } };
    expect(fold(from, object({ gpus: 7 }))?.node.kube).toMatchObject(kept);
    const again = fold(from, object({ uid: "u2" }));
    expect(again?.node.kube).toMatchObject({
      boundAt: NOW,
      restUntil: 0,
      refusals: 0,
      refusal: null,
      reassertedAt: 9,
      uncordons,
      former,
    });
    expect(kinds(again)).toEqual([
      ["kube.changed", "Node gpu-1 was created again: it has none of the earlier marks", "navarch"],
    ]);
  });

  test("says that it is gone, and forgets the mark", () => {
    const from = marked();
    const { notReadySince: _, ...kept } = from.kube ?? kubeOf();
    const gone = fold(from, null);
    expect(kinds(gone)).toEqual([
      ["kube.lost", "Node gpu-1 is no longer in the cluster", "navarch"],
    ]);
    expect(gone?.node).toEqual({
      ...from,
      kube: { ...kept, absentSince: NOW, isolatedUid: null, unschedulable: false },
    });
    expect(fold(node(), null)).toBeNull();
  });
});

describe("foldKube() of a Node that is NotReady", () => {
  const at = (status: string, more: Partial<KubeNode> = {}) =>
    object({ conditions: [{ type: "Ready", status, reason: "", message: "" }], ...more });
  const after = (from: Node, one: KubeNode | null): Node => fold(from, one)?.node ?? from;
  const told = (from: Node): Node => ({
    ...from,
    kube: { ...kubeOf(), ...from.kube, missedAt: NOW, lostAt: NOW },
  });

  test("counts from the first sight of it, over other reasons, until it is Ready", () => {
    const since = { notReadySince: NOW, missedAt: NOW, lostAt: NOW };
    const lame = told(after(node(), at("False")));
    expect(after(lame, at("Unknown")).kube).toMatchObject({ notReady: "Unknown", ...since });
    const back = fold(lame, at("True"));
    expect(Object.keys(back?.node.kube ?? {})).not.toContain("notReadySince");
    expect(back?.node.kube?.lostAt).toBeUndefined();
    expect(kinds(back)).toEqual([["kube.ready", "Node gpu-1 is Ready again", "navarch"]]);
  });

  test("counts again for another object, and for one that is gone", () => {
    const lame = told(after(node(), at("False")));
    const other = after(lame, at("False", { uid: "u2" })).kube;
    expect(other).toMatchObject({ notReadySince: NOW });
    expect(other?.lostAt).toBeUndefined();
    const gone = after(lame, null).kube;
    expect(gone).toMatchObject({ absentSince: NOW });
    expect([gone?.missedAt, gone?.lostAt, gone?.leftCordoned]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    const theirs = after(
      after(node(), at("True", { unschedulable: true, others: ["kubectl"] })),
      null,
    );
    expect(theirs.kube?.leftCordoned).toBe(true);
  });

  test("keeps who announces that it deletes the Node", () => {
    const taints = [{ key: "karpenter.sh/disrupted", value: null, effect: "NoSchedule" }];
    const from = after(node(), at("True"));
    const marked = after(from, at("True", { taints }));
    expect(marked.kube?.deleters).toEqual(["karpenter deletes it (taint karpenter.sh/disrupted)"]);
    expect(after(marked, at("True")).kube?.deleters).toBeUndefined();
  });
});

describe("foldKube() of a hold", () => {
  const hold = (value: string, more: Partial<KubeNode> = {}) =>
    object({ annotations: { "navarch.dev/hold": value }, ...more });
  const said = (from: Node, one: KubeNode) =>
    kinds(fold(from, one)).filter(([kind]) => kind !== "kube.matched");
  const after = (from: Node, one: KubeNode): Node => fold(from, one)?.node ?? from;

  test("is told once, with its value where that is unclear, and once when it ends", () => {
    const set = "navarch.dev/hold is set on Node gpu-1";
    const odd =
      'navarch.dev/hold="perhaps" on Node gpu-1 is neither yes nor no, so the Node is held';
    expect(said(node(), hold("true"))).toEqual([["kube.hold", set, "human"]]);
    const held = after(node(), hold("true"));
    expect(held.kube?.hold).toBe(true);
    expect(said(held, hold("true", { gpus: 1 }))).toEqual([]);
    expect(said(held, hold("perhaps"))).toEqual([["kube.hold_unclear", odd, "human"]]);
    const unclear = after(held, hold("perhaps"));
    expect(unclear.kube?.holdUnclear).toBe("perhaps");
    expect(said(unclear, hold("perhaps", { gpus: 1 }))).toEqual([]);
    expect(said(unclear, hold("true"))).toEqual([["kube.hold", set, "human"]]);
    expect(said(held, object())).toEqual([
      ["kube.hold", "navarch.dev/hold is no longer set on Node gpu-1", "human"],
    ]);
    expect(said(after(node(), object()), object({ gpus: 1 }))).toEqual([]);
  });

  test("on a new object is a new one, and its absence there is no news", () => {
    const held = after(node(), hold("true"));
    const changed = (one: KubeNode) => said(held, one).map(([kind]) => kind);
    expect(changed(hold("true", { uid: "u2" }))).toEqual(["kube.changed", "kube.hold"]);
    expect(changed(object({ uid: "u2" }))).toEqual(["kube.changed"]);
  });
});

describe("foldKube() of a mark that others lifted", () => {
  const given = (more: Partial<Node>) => fold(marked(more), lifted());
  const phase = (kind: string, more: object = {}) =>
    ({ kind, since: 2, ...more }) as unknown as Node["phase"];

  test("is no word while nothing of ours was on this object, or is on none", () => {
    const unmarked = (isolatedUid: string | null) => {
      const from = marked();
      return { ...from, kube: from.kube === null ? null : { ...from.kube, isolatedUid } };
    };
    for (const uid of [null, "u9"]) {
      const next = fold(unmarked(uid), lifted());
      expect(next?.node.session ?? null).not.toBeNull();
      expect(kinds(next)).toEqual([]);
    }
  });

  test.each(["cordon", "uncordon", "mirror"])("is no word while a %s is out", (word) => {
    const operation = `n1.3.${word}` as OperationId;
    const from = marked({ operation });
    const next = fold(from, lifted());
    expect(kinds(next)).toEqual([]);
    expect(next?.node).toMatchObject({ session: { id: "s1" }, kube: { isolatedUid: "u1" } });
  });

  test("is a word while anything else is out", () => {
    expect(given({ operation: "n1.3.drain" as OperationId })?.node.session).toBeNull();
    expect(given({ operation: "cordon.3.drain" as OperationId })?.node.session).toBeNull();
  });

  test.each(["serving", "suspect", "draining", "replacing"])(
    "returns a node that is %s",
    (kind) => {
      const from = marked({ phase: phase(kind, { purpose: "repair" }), sparedAt: 1 });
      const next = fold(from, lifted());
      expect(next?.node).toMatchObject({
        phase: { kind: "serving", since: kind === "serving" ? 2 : NOW },
        session: null,
        lastSession: { id: "s1", openedAt: 2, closedAt: NOW, how: "cancelled" },
        order: null,
        sparedAt: NOW,
        fence: from.fence + 1,
        waiver: null,
      });
      expect(kinds(next)).toEqual([
        ["kube.uncordoned", "uncordoned in Kubernetes by hand: the repair is cancelled", "human"],
      ]);
    },
  );

  test.each(["repairing", "booting", "verifying"])("lets a node that is %s go on", (kind) => {
    const lastSession = { id: "s0" as SessionId, openedAt: 0, closedAt: 1, how: "recovered" };
    const next = given({ phase: phase(kind), lastSession });
    expect(next?.node).toMatchObject({ phase: phase(kind), session: { id: "s1" }, lastSession });
  });

  test("leaves a node with the person that holds it, not with the product", () => {
    const held = (heldBy: string) =>
      given({ phase: phase("held", { heldBy, why: "x" }) })?.node.phase;
    expect(held("human:ann")).toMatchObject({ kind: "held", heldBy: "human:ann" });
    expect(held("navarch")).toEqual({ kind: "serving", since: NOW });
  });

  test("of a node without a repair calls none off", () => {
    const lastSession = { id: "s0" as SessionId, openedAt: 0, closedAt: 1, how: "recovered" };
    const next = given({ session: null, lastSession });
    expect(next?.node.lastSession).toEqual(lastSession);
    expect(kinds(next)[0]?.[1]).toBe("uncordoned in Kubernetes by hand");
    const kept = { by: "human", why: "", at: 1, evidence: ["a"] };
    expect(given({ waiver: kept })?.node.waiver).toEqual(kept);
  });

  test.each(["terminating", "gone"])("of a node that is %s ends nothing", (kind) => {
    const from = marked({ phase: phase(kind) });
    const next = fold(from, lifted());
    expect(kinds(next)).toEqual([
      ["kube.uncordoned", `uncordoned in Kubernetes by hand, but it is ${kind}`, "human"],
    ]);
    expect(next?.node).toMatchObject({
      phase: phase(kind),
      session: { id: "s1" },
      fence: from.fence,
    });
    expect(next?.node.kube?.isolatedUid).toBeNull();
  });

  test("is set again once a repair, where that is configured", () => {
    const at = (reassertedAt: number | null, more: Partial<Node> = {}) => {
      const from = marked(more);
      const kube = from.kube === null ? null : { ...from.kube, reassertedAt };
      return fold({ ...from, kube }, lifted(), "enforce");
    };
    const again = [
      [
        "kube.uncordoned",
        "uncordoned in Kubernetes by hand: cordoned again, as configured",
        "navarch",
      ],
    ];
    expect(kinds(at(null))).toEqual(again);
    // What was set again in an earlier repair counts for that one.
    expect(kinds(at(1))).toEqual(again);
    expect(at(2)?.node.session).toBeNull();
    expect(at(3)?.node.session).toBeNull();
    expect(kinds(at(0, { session: null }))[0]?.[2]).toBe("human");
    expect(at(null)?.node.kube).toMatchObject({ reassertedAt: NOW, isolatedUid: null });
  });
});

test("the annotation that keeps a Node from autoscalers is stored, and forgotten with it", () => {
  const kept = "karpenter.sh/do-not-disrupt: true";
  const asked = fold(node(), object({ kept }))?.node ?? node();
  expect(asked.kube?.kept).toBe(kept);
  expect(fold(asked, object({ kept }))).toBeNull();
  expect(fold(asked, object())?.node.kube?.kept).toBeUndefined();
  expect(isNews(object(), object({ kept }))).toBe(true);
});
