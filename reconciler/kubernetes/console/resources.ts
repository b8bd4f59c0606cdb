/**
 * What a pod requests and may use at most, as the scheduler counts it (Kubernetes, "Pod Overhead"
 * and "Sidecar Containers"): containers and sidecars together, or an init container that is larger.
 * Pure.
 */
import type { V1Container, V1PodSpec, V1ResourceRequirements } from "@kubernetes/client-node";
import type { PodFacts, Quantities } from "../../../schema/console/cluster.ts";
import { ENTRIES_MAX, readList, readObject, readQuantity, type Untrusted } from "../read-field.ts";

type Of = "requests" | "limits";

export function podResources(spec: Untrusted<V1PodSpec>): PodFacts["resources"] {
  return { requests: totalOf(spec, "requests"), limits: totalOf(spec, "limits") };
}

function totalOf(spec: Untrusted<V1PodSpec>, of: Of): Quantities {
  let total = sum(readList(spec.containers).map((one) => quantitiesOf(one, of)));
  let sidecars: Quantities = {};
  let starting: Quantities = {};
  for (const raw of readList(spec.initContainers)) {
    const own = quantitiesOf(raw, of);
    if (readObject<V1Container>(raw).restartPolicy === "Always") {
      sidecars = sum([sidecars, own]);
      starting = most(starting, sidecars);
    } else {
      starting = most(starting, sum([sidecars, own]));
    }
  }
  total = most(sum([total, sidecars]), starting);
  // Resources of the whole pod replace those of its containers.
  const whole = quantitiesOf({ resources: readObject(spec)["resources"] }, of);
  return sum([{ ...total, ...whole }, quantities(spec.overhead)]);
}

function quantitiesOf(container: unknown, of: Of): Quantities {
  const { resources } = readObject<V1Container>(container);
  const given = readObject<V1ResourceRequirements>(resources);
  // A limit without a request is the request, too.
  return of === "limits"
    ? quantities(given.limits)
    : { ...quantities(given.limits), ...quantities(given.requests) };
}

export function quantities(value: unknown): Quantities {
  const found: Quantities = {};
  for (const [key, text] of Object.entries(readObject(value)).slice(0, ENTRIES_MAX)) {
    const amount = readQuantity(text);
    if (amount !== null && amount >= 0) found[key] = amount;
  }
  return found;
}

/** 0 without the resource. `hasOwn`: names are the cluster's, and objects inherit members. */
export const at = (all: Quantities, key: string): number =>
  Object.hasOwn(all, key) ? (all[key] ?? 0) : 0;

function sum(all: readonly Quantities[]): Quantities {
  const total: Quantities = {};
  for (const one of all) {
    for (const [key, amount] of Object.entries(one)) {
      // Thousandths of a core add up without the noise of binary fractions.
      total[key] = Math.round((at(total, key) + amount) * 1_000) / 1_000;
    }
  }
  return total;
}

function most(one: Quantities, other: Quantities): Quantities {
  const found = { ...one };
  for (const [key, amount] of Object.entries(other)) {
    found[key] = Math.max(at(found, key), amount);
  }
  return found;
}
