/**
 * The controller of disruption budgets: it keeps the status of those that it was given from the
 * pods that are there (Kubernetes, pkg/controller/disruption).
 */
import { countOf, isEqual, metaOf, nameOf, namespaceOf, objectOf, textOf } from "./json.ts";
import type { KubeObject } from "./json.ts";
import { resourceOf } from "./resource.ts";
import { matchesLabels } from "./selector.ts";
import type { Change } from "./store.ts";
import { conditionOf } from "./world.ts";
import type { World } from "./world.ts";
import { parseInstant } from "../../schema/instant.ts";

const PODS = resourceOf("pods");
const BUDGETS = resourceOf("poddisruptionbudgets");

/** An eviction that came to nothing leaves the budget's books after it. */
const DISRUPTED_MS = 120_000;

export class Budgets {
  readonly #world: World;
  /** Pods that should run, by namespace and name of the budget. */
  readonly #expected = new Map<string, number>();
  /** Namespaces that are looked at again although no pod changes. */
  readonly #armed = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  manage(namespace: string, budget: string, expected: number): void {
    this.#expected.set(`${namespace}/${budget}`, expected);
    this.#balance(namespace);
  }

  take(change: Change): void {
    const namespace = namespaceOf(change.object);
    const isBudget = change.plural === "poddisruptionbudgets";
    if (isBudget || change.plural === "pods") this.#balance(namespace);
    const isSpent = objectOf(change.after?.["status"])["disruptedPods"] !== undefined;
    if (isBudget && isSpent) this.#arm(namespace);
  }

  #arm(namespace: string): void {
    if (this.#armed.has(namespace)) return;
    this.#armed.add(namespace);
    this.#world.clock.after(DISRUPTED_MS, () => {
      this.#armed.delete(namespace);
      this.#balance(namespace);
    });
  }

  #balance(namespace: string): void {
    if (this.#expected.size === 0) return;
    const { store } = this.#world;
    for (const budget of store.list(BUDGETS, namespace)) {
      const expected = this.#expected.get(`${namespace}/${nameOf(budget)}`);
      if (expected === undefined) continue;
      const status = statusOf(budget, expected, store.list(PODS, namespace), this.#world);
      if (!isEqual(budget["status"], status)) store.put(BUDGETS, { ...budget, status });
    }
  }
}

function statusOf(
  budget: KubeObject,
  expected: number,
  pods: readonly KubeObject[],
  { clock }: World,
): KubeObject {
  const spec = objectOf(budget["spec"]);
  const isLeaving = (pod: KubeObject): boolean => metaOf(pod)["deletionTimestamp"] !== undefined;
  const mine = pods.filter((pod) =>
    matchesLabels(spec["selector"], objectOf(metaOf(pod)["labels"])),
  );
  const staying = new Set(mine.filter((pod) => !isLeaving(pod)).map(nameOf));
  const old = Object.entries(objectOf(objectOf(budget["status"])["disruptedPods"]));
  const disrupted = old.filter(
    ([name, at]) => staying.has(name) && parseInstant(textOf(at)) + DISRUPTED_MS > clock.wallMs(),
  );
  const booked = new Set(disrupted.map(([name]) => name));
  const currentHealthy = mine.filter(
    (pod) => !isLeaving(pod) && !booked.has(nameOf(pod)) && conditionOf(pod, "Ready") === "True",
  ).length;
  const desiredHealthy = desiredOf(spec, expected);
  return {
    observedGeneration: countOf(metaOf(budget)["generation"]),
    disruptionsAllowed: expected > 0 ? Math.max(0, currentHealthy - desiredHealthy) : 0,
    currentHealthy,
    desiredHealthy,
    expectedPods: expected,
    ...(disrupted.length === 0 ? {} : { disruptedPods: Object.fromEntries(disrupted) }),
  };
}

function desiredOf({ minAvailable, maxUnavailable }: KubeObject, expected: number): number {
  if (minAvailable !== undefined) return scaled(minAvailable, expected);
  return Math.max(0, expected - scaled(maxUnavailable ?? 0, expected));
}

/** Percentages are rounded up (`GetScaledValueFromIntOrPercent`). */
function scaled(value: unknown, expected: number): number {
  if (typeof value === "number") return value;
  const percent = /^(\d+)%$/.exec(textOf(value))?.[1];
  return percent === undefined ? 0 : Math.ceil((expected * Number(percent)) / 100);
}
