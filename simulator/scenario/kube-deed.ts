/**
 * What an event does to the Kubernetes cluster: its API server fails, or a person works in it with
 * kubectl.
 */
import type { Section } from "../../reconciler/config/section.ts";
import { type Names, refuseName } from "./name.ts";
import type { Deed } from "./scenario.ts";
import { wantWord, wordOf } from "./value.ts";

/**
 * As a provider fails, and three ways more: nobody is there, everything takes its time, and watches
 * that stay open tell nothing.
 */
export const KUBE_FAULTS = [
  "capacity",
  "quota",
  "auth",
  "throttle",
  "timeout",
  "error",
  "down",
  "latency",
  "watch",
] as const;
export type KubeFaultKind = (typeof KUBE_FAULTS)[number];

export type KubeFault = {
  kind: KubeFaultKind;
  /** `null`: until the end of the scenario. */
  durationMs: number | null;
  /** Share of the calls that fail, above 0 and at most 1. */
  rate: number;
  /** What each call takes; only of `latency`. */
  latencyMs: number | null;
};

/** `hold` is the annotation that keeps the product's hands off the node. */
export const KUBECTL = [
  "cordon",
  "uncordon",
  "hold",
  "unhold",
  "delete_node",
  "delete_budget",
] as const;
export type KubectlWord = (typeof KUBECTL)[number];

const KUBERNETES = "kubernetes";
/** Of these either every call is concerned, or what is open already. */
const WITHOUT_RATE: readonly KubeFaultKind[] = ["down", "latency", "watch"];

/** False, and said, if the scenario has no cluster that it could be done to. */
export function wantCluster(section: Section, key: string, what: string, names: Names): boolean {
  if (names.cluster !== null) return true;
  const hint = "write kubernetes: {enabled: true}, or say under cluster what runs there";
  section.fail(key, "no_cluster", `${what} needs a Kubernetes cluster`, hint);
  return false;
}

export function readApiFault(event: Section, params: Section, names: Names): Deed | null {
  const target = wordOf(event, "target") ?? KUBERNETES;
  if (target !== KUBERNETES) refuseName(event, "target", "API", target, [KUBERNETES]);
  const isThere = wantCluster(event, "action", "api_fault", names);
  const kind = params.choice("kind", KUBE_FAULTS);
  if (!params.has("kind")) params.missing("kind", `one of ${KUBE_FAULTS.join(", ")}`);
  const durationMs = params.duration("duration", { min: 1 });
  const rate = params.number("rate", { min: 0, max: 1 });
  if (rate === 0) params.fail("rate", "range", "must be above 0", "leave it out for every call");
  if (rate !== null && kind !== null && WITHOUT_RATE.includes(kind)) {
    params.fail("rate", "misplaced", `${kind} concerns every call`, "leave it out");
  }
  const latencyMs = params.duration("latency", { min: 1 });
  if (kind === "latency" && latencyMs === null && !params.has("latency")) {
    params.missing("latency", "what each call takes");
  }
  if (kind !== null && kind !== "latency" && latencyMs !== null) {
    params.fail("latency", "misplaced", `is no parameter of ${kind}`, "of kind latency");
  }
  if (kind === null || !isThere) return null;
  const fault: KubeFault = { kind, durationMs, rate: rate ?? 1, latencyMs };
  return { action: "api_fault", target: KUBERNETES, fault };
}

export function readKubectl(event: Section, params: Section, names: Names): Deed | null {
  const isThere = wantCluster(event, "action", "kubectl", names);
  const deed = params.choice("do", KUBECTL);
  if (!params.has("do")) params.missing("do", `one of ${KUBECTL.join(", ")}`);
  const isBudget = deed === "delete_budget";
  const target = wantWord(event, "target", isBudget ? "a budget" : "a node id");
  if (target === "" || deed === null || names.cluster === null || !isThere) return null;
  const { budgets } = names.cluster;
  if (isBudget && !budgets.includes(target)) {
    refuseName(event, "target", "budget", target, budgets);
    return null;
  }
  if (!isBudget && names.node(target) === null) {
    refuseName(event, "target", "node", target, names.nodes);
    return null;
  }
  return { action: "kubectl", target, deed };
}
