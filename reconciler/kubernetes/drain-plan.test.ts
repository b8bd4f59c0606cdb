import { expect, test } from "bun:test";
import fc from "fast-check";
import { DRAIN_RULE, UNTIL, planDrain } from "../core/kubernetes/drain-plan.ts";
import type { DrainReason, DrainVerdict, PlanRequest } from "../core/kubernetes/drain-plan.ts";
import type { KubePod } from "../core/kubernetes/object.ts";

const NOW = Date.parse("2026-11-21T12:00:00Z");
const DRAINING = "navarch.dev/draining";
const WISH: PlanRequest = {
  force: false,
  ignoreDaemonsets: true,
  deleteEmptydirData: true,
  mode: "evict",
};
const DAEMONSETS = new Set(["ns/agent"]);

function pod(change: Partial<KubePod> = {}): KubePod {
  return {
    namespace: "ns",
    name: "p",
    uid: "u-p",
    resourceVersion: "1",
    node: "n1",
    ips: [],
    phase: "Running",
    controller: { apiVersion: "apps/v1", kind: "ReplicaSet", name: "web", uid: "u-web" },
    mirror: false,
    emptyDir: false,
    claims: false,
    deletionAt: null,
    finalizers: [],
    graceMs: 30_000,
    gpus: 0,
    critical: false,
    tolerations: [],
    labels: {},
    annotations: {},
    ...change,
  };
}

const daemon = (name: string, apiVersion = "apps/v1"): Partial<KubePod> => ({
  controller: { apiVersion, kind: "DaemonSet", name, uid: "u-ds" },
});
const toleration = (key: string | null) => ({ key, operator: "Exists", value: null, effect: null });
const rule = (value: string): Partial<KubePod> => ({ annotations: { [DRAIN_RULE]: value } });
const slurm = (state: "busy" | "closed" | "open" | "unknown"): Partial<KubePod> => ({
  controller: { apiVersion: "slinky.slurm.net/v1beta1", kind: "NodeSet", name: "gpu", uid: "u-ns" },
  slurm: { state, draining: state === "closed" },
});

type Row = [string, Partial<KubePod>, Partial<PlanRequest>, DrainVerdict, DrainReason];

const ROWS: readonly Row[] = [
  ["a pod with a controller", {}, {}, "evict", "owned"],
  ["a pod of a DaemonSet", daemon("agent"), {}, "keep", "daemonset"],
  ["a pod of a DaemonSet with force", daemon("agent"), { force: true }, "keep", "daemonset"],
  [
    "a pod of a DaemonSet that is not ignored",
    daemon("agent"),
    { ignoreDaemonsets: false },
    "blocked",
    "daemonset",
  ],
  [
    "a finished pod of a DaemonSet",
    { ...daemon("agent"), phase: "Failed" },
    {},
    "evict",
    "finished",
  ],
  ["a pod of a missing DaemonSet", daemon("lost"), {}, "blocked", "daemonset-missing"],
  ["a pod of a missing DaemonSet, forced", daemon("lost"), { force: true }, "evict", "owned"],
  ["a DaemonSet of another API", daemon("agent", "apps.x.io/v1"), {}, "evict", "owned"],
  ["a mirror pod", { mirror: true }, {}, "keep", "mirror"],
  ["a mirror pod that nobody owns", { mirror: true, controller: null }, {}, "keep", "mirror"],
  ["an emptyDir", { emptyDir: true }, {}, "evict", "owned"],
  [
    "an emptyDir that may not be lost",
    { emptyDir: true },
    { deleteEmptydirData: false },
    "blocked",
    "emptydir",
  ],
  [
    "an emptyDir of a finished pod",
    { emptyDir: true, phase: "Succeeded" },
    { deleteEmptydirData: false },
    "evict",
    "finished",
  ],
  ["a pod that nobody owns", { controller: null }, {}, "blocked", "unmanaged"],
  ["a pod that nobody owns, forced", { controller: null }, { force: true }, "evict", "unmanaged"],
  [
    "a finished pod that nobody owns",
    { controller: null, phase: "Succeeded" },
    {},
    "evict",
    "finished",
  ],
  ["a pod that is being deleted", { deletionAt: NOW }, {}, "wait", "terminating"],
  [
    "an unowned pod that is being deleted",
    { deletionAt: NOW, controller: null },
    {},
    "wait",
    "terminating",
  ],
  [
    "a pod that tolerates the drain",
    { tolerations: [toleration(DRAINING)] },
    {},
    "keep",
    "tolerates",
  ],
  ["a pod that tolerates everything", { tolerations: [toleration(null)] }, {}, "evict", "owned"],
  ["the rule skip", rule("skip"), {}, "keep", "rule"],
  ["the rule skip as a label", { labels: { [DRAIN_RULE]: "skip" } }, {}, "keep", "rule"],
  ["one that asks not to be disturbed", { undisturbed: "k: v" }, {}, "wait", "undisturbed"],
  ["one that asks, forced", { undisturbed: "k: v" }, { force: true }, "wait", "undisturbed"],
  [
    "one that asks, and the rule evict",
    { ...rule("evict"), undisturbed: "k: v" },
    {},
    "evict",
    "owned",
  ],
  [
    "one that asks and has finished",
    { undisturbed: "k: v", phase: "Failed" },
    {},
    "evict",
    "finished",
  ],
  ["the rule wait-completed", rule("wait-completed"), {}, "wait", "completion"],
  [
    "the rule wait-completed on a finished pod",
    { ...rule("wait-completed"), phase: "Succeeded" },
    {},
    "evict",
    "finished",
  ],
  [
    "the rule evict on an unowned pod",
    { ...rule("evict"), controller: null },
    {},
    "evict",
    "unmanaged",
  ],
  [
    "the rule evict on an emptyDir",
    { ...rule("evict"), emptyDir: true },
    { deleteEmptydirData: false },
    "evict",
    "owned",
  ],
  [
    "the rule evict on a DaemonSet's pod",
    { ...rule("evict"), ...daemon("agent") },
    {},
    "keep",
    "daemonset",
  ],
  [
    "an annotation that says other than the label",
    { ...rule("wait-completed"), labels: { [DRAIN_RULE]: "evict" } },
    {},
    "wait",
    "completion",
  ],
  ["S49: a pod in which Slurm works", slurm("busy"), {}, "wait", "slurm"],
  ["S49: a pod whose node in Slurm is idle", slurm("open"), {}, "wait", "slurm"],
  ["S49: a pod of an unknown state in Slurm", slurm("unknown"), {}, "wait", "slurm"],
  ["S49: a pod that Slurm has drained", slurm("closed"), {}, "keep", "slurm"],
  [
    "S49: a pod in which Slurm works, with the rule evict and with force",
    { ...slurm("busy"), ...rule("evict") },
    { force: true },
    "wait",
    "slurm",
  ],
  [
    "S49: a pod in which Slurm works, with the rule skip",
    { ...slurm("busy"), ...rule("skip") },
    {},
    "wait",
    "slurm",
  ],
  [
    "S49: a pod of Slurm that leaves",
    { ...slurm("busy"), deletionAt: NOW },
    {},
    "wait",
    "terminating",
  ],
  ["a rule that nobody can read", rule("wait"), {}, "blocked", "rule-unreadable"],
  ["an hour to come", { annotations: { [UNTIL]: "2026-11-21T13:00:00Z" } }, {}, "wait", "until"],
  [
    "an hour to come in another zone",
    { annotations: { [UNTIL]: "2026-11-21T08:00:00.5-05:00" } },
    {},
    "wait",
    "until",
  ],
  [
    "an hour that is over",
    { annotations: { [UNTIL]: "2026-11-21T11:59:59Z" } },
    {},
    "evict",
    "owned",
  ],
  ["an hour that nobody can read", { annotations: { [UNTIL]: "tomorrow" } }, {}, "wait", "until"],
  ["mode wait", {}, { mode: "wait" }, "wait", "mode"],
  ["mode wait with a finished pod", { phase: "Failed" }, { mode: "wait" }, "keep", "finished"],
  ["mode wait with an unowned pod", { controller: null }, { mode: "wait" }, "blocked", "unmanaged"],
];

for (const [name, change, desired, verdict, reason] of ROWS) {
  test(`planDrain() judges ${name}`, () => {
    const [planned] = planDrain([pod(change)], { ...WISH, ...desired }, DAEMONSETS, NOW);
    expect(planned).toMatchObject({ verdict, reason, uid: "u-p" });
    expect(planned?.why).not.toBe("");
  });
}

test("planDrain() leaves a pod that comes back", () => {
  const [planned] = planDrain([pod()], WISH, DAEMONSETS, NOW, new Set(["u-p"]));
  expect(planned).toMatchObject({ verdict: "keep", reason: "returns" });
});

test("planDrain() puts what is critical last, and the rest in the order of names", () => {
  const plan = planDrain(
    [
      pod({ name: "dns", critical: true, namespace: "a" }),
      pod({ name: "z" }),
      pod({ name: "b" }),
      pod({ name: "y", namespace: "m" }),
    ],
    WISH,
    DAEMONSETS,
    NOW,
  );
  expect(plan.map(({ name, tier }) => `${tier} ${name}`)).toEqual(["0 y", "0 b", "0 z", "1 dns"]);
});

const anyPod = fc
  .record({
    uid: fc.uuid(),
    phase: fc.constantFrom("Pending", "Running", "Succeeded", "Failed", "Unknown"),
    controller: fc.constantFrom<KubePod["controller"][]>(
      null,
      { apiVersion: "apps/v1", kind: "DaemonSet", name: "agent", uid: "a" },
      { apiVersion: "apps/v1", kind: "DaemonSet", name: "lost", uid: "b" },
      { apiVersion: "apps/v1beta1", kind: "DaemonSet", name: "lost", uid: "c" },
      { apiVersion: "batch/v1", kind: "Job", name: "train", uid: "d" },
    ),
    mirror: fc.boolean(),
    emptyDir: fc.boolean(),
    critical: fc.boolean(),
    tolerations: fc.constantFrom<KubePod["tolerations"][]>([], [toleration(null)]),
  })
  .map((change) => pod(change));

const anyRequest = fc.record({
  force: fc.boolean(),
  ignoreDaemonsets: fc.boolean(),
  deleteEmptydirData: fc.boolean(),
  mode: fc.constant("evict" as const),
});

/** kubectl's filters once more, each with its own answer, the first refusal ending the row. */
function kubectl(one: KubePod, desired: PlanRequest): DrainVerdict {
  const isDone = one.phase === "Succeeded" || one.phase === "Failed";
  const owner = one.controller;
  const filters: (() => DrainVerdict)[] = [
    () => {
      if (owner?.kind !== "DaemonSet" || owner.apiVersion !== "apps/v1" || isDone) return "evict";
      if (!DAEMONSETS.has(`${one.namespace}/${owner.name}`))
        return desired.force ? "evict" : "blocked";
      return desired.ignoreDaemonsets ? "keep" : "blocked";
    },
    () => (one.mirror ? "keep" : "evict"),
    () => (one.emptyDir && !isDone && !desired.deleteEmptydirData ? "blocked" : "evict"),
    () => (owner === null && !isDone && !desired.force ? "blocked" : "evict"),
  ];
  for (const filter of filters) {
    const verdict = filter();
    if (verdict !== "evict") return verdict;
  }
  return "evict";
}

test("planDrain() agrees with kubectl's filters on every pod without a rule of ours", () => {
  fc.assert(
    fc.property(fc.array(anyPod, { maxLength: 8 }), anyRequest, (pods, desired) => {
      const plan = planDrain(pods, desired, DAEMONSETS, NOW);
      expect(plan.length).toBe(pods.length);
      for (const one of pods) {
        const ours = plan.find(({ uid }) => uid === one.uid);
        expect(ours?.verdict).toBe(kubectl(one, desired));
      }
    }),
  );
});

test("planDrain() asks nobody in mode wait, nor what is being deleted already", () => {
  fc.assert(
    fc.property(fc.array(anyPod), anyRequest, fc.boolean(), (pods, desired, isLeaving) => {
      const mode = isLeaving ? desired.mode : "wait";
      const given = pods.map((one) => ({ ...one, deletionAt: isLeaving ? NOW : null }));
      const plan = planDrain(given, { ...desired, mode }, DAEMONSETS, NOW);
      expect(plan.filter(({ verdict }) => verdict === "evict")).toEqual([]);
    }),
  );
});
