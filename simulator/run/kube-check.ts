/**
 * Checks a scenario's assertions about the Kubernetes cluster at the end of a run: its objects, and
 * what the product evicted or deleted.
 */
import { unreachable } from "../../schema/unreachable.ts";
import { type Assertion, type Bound, isWithin } from "../scenario/scenario.ts";
import type { SimKube } from "../stack/kube.ts";
import type { Stack } from "../stack/stack.ts";
import type { Checked } from "./check.ts";

type Taken = "pod_evictions" | "pod_deletions" | "budget_violations";
type KubeAssertion =
  | Extract<Assertion, { type: "kube_node" | "pods" }>
  | { type: Taken; expected: Bound };

const NO_CLUSTER = "there is no Kubernetes cluster";

export function checkKube(assertion: KubeAssertion, { kube, population }: Stack): Checked {
  const { type } = assertion;
  switch (type) {
    case "kube_node": {
      const { target, expected } = assertion;
      const member = population.find(target);
      const found = kube === null || member === null ? "absent" : kube.stateOf(member);
      const actual = kube === null ? NO_CLUSTER : found;
      return { name: `${type} ${target}`, expected, actual, passed: actual === expected };
    }
    case "pods": {
      const { by, name } = assertion.target;
      const member = by === "node" ? population.find(name) : null;
      const left = (of: SimKube): number => (member === null ? 0 : of.podsOn(member));
      const count = kube === null ? null : by === "group" ? kube.readyPods(name) : left(kube);
      return counted(`${type} ${name}`, assertion.expected, count);
    }
    case "pod_evictions":
      return counted(type, assertion.expected, kube?.taken.evictions ?? null);
    case "pod_deletions":
      return counted(type, assertion.expected, kube?.taken.deletions ?? null);
    case "budget_violations":
      return counted(type, assertion.expected, kube?.taken.violations ?? null);
    default:
      return unreachable(type);
  }
}

function counted(name: string, bound: Bound, count: number | null): Checked {
  const actual = count === null ? NO_CLUSTER : String(count);
  const passed = count !== null && isWithin(bound, count);
  return { name, expected: bound.text, actual, passed };
}
