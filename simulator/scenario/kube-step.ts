/**
 * What an event does to the Kubernetes cluster: its API server fails, or a person works in it with
 * kubectl.
 */
import { fillTable } from "../../schema/config/field.ts";
import type { Section } from "../../reconciler/config/section.ts";
import { readPart } from "../../reconciler/config/table.ts";
import { PARAMS } from "./action.ts";
import { type Names, refuseName } from "./name.ts";
import type { Step, KubeFault } from "./scenario.ts";
import { wantWord, wordOf } from "./value.ts";

const KUBERNETES = "kubernetes";
/** Of these either every call is concerned, or what is open already. */
const WITHOUT_RATE: readonly KubeFault["kind"][] = ["down", "latency", "watch"];

/** Reports and returns false if the scenario has no cluster. */
export function wantCluster(section: Section, key: string, what: string, names: Names): boolean {
  if (names.cluster !== null) return true;
  const hint = "write kubernetes: {enabled: true}, or say under cluster what runs there";
  section.fail(key, "no_cluster", `${what} needs a Kubernetes cluster`, hint);
  return false;
}

export function readApiFault(event: Section, params: Section, names: Names): Step | null {
  const target = wordOf(event, "target") ?? KUBERNETES;
  if (target !== KUBERNETES) refuseName(event, "target", "API", target, [KUBERNETES]);
  const isThere = wantCluster(event, "action", "api_fault", names);
  const part = readPart(params, PARAMS.api_fault);
  const { kind, rate, latencyMs } = part;
  refuseZero(params, rate);
  if (rate !== null && kind !== null && WITHOUT_RATE.includes(kind)) {
    params.fail("rate", "misplaced", `${kind} concerns every call`, "leave it out");
  }
  if (kind === "latency" && latencyMs === null && !params.has("latency")) {
    params.missing("latency", "what each call takes");
  }
  if (kind !== null && kind !== "latency" && latencyMs !== null) {
    params.fail("latency", "misplaced", `is no parameter of ${kind}`, "of kind latency");
  }
  if (kind === null || !isThere) return null;
  return { action: "api_fault", target: KUBERNETES, fault: fillTable(PARAMS.api_fault, part) };
}

export function refuseZero(params: Section, rate: number | null): void {
  if (rate === 0) params.fail("rate", "range", "must be above 0", "leave it out for every call");
}

export function readKubectl(event: Section, params: Section, names: Names): Step | null {
  const isThere = wantCluster(event, "action", "kubectl", names);
  const { step } = readPart(params, PARAMS.kubectl);
  const isBudget = step === "delete_budget";
  const target = wantWord(event, "target", isBudget ? "a budget" : "a node id");
  if (target === "" || step === null || names.cluster === null || !isThere) return null;
  const { budgets } = names.cluster;
  if (isBudget && !budgets.includes(target)) {
    refuseName(event, "target", "budget", target, budgets);
    return null;
  }
  if (!isBudget && names.node(target) === null) {
    refuseName(event, "target", "node", target, names.nodes);
    return null;
  }
  return { action: "kubectl", target, step };
}
