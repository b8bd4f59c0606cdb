/**
 * Watches PodDisruptionBudgets while an eviction waits for one, so that the eviction is retried
 * when the budget opens and not when its back-off ends. The watch only advances a retry: without it
 * the back-off stands, and the server judges each eviction again.
 */
import type {
  V1ObjectMeta,
  V1PodDisruptionBudget,
  V1PodDisruptionBudgetStatus,
} from "@kubernetes/client-node";
import type { Log } from "../core/clock.ts";
import type { NodePorts } from "./node-call.ts";
import { readCount, readIdentity, readObject, readText } from "./read-field.ts";
import { Reflector } from "./reflector.ts";

export type KubeBudget = {
  namespace: string;
  name: string;
  uid: string;
  resourceVersion: string;
  /** Evictions that it allows, as last counted by its controller. */
  allowed: number;
};

/** `null` if it is no budget with a name and a UID; never throws. */
export function readBudget(json: unknown): KubeBudget | null {
  const { metadata, status } = readObject<V1PodDisruptionBudget>(json);
  const identity = readIdentity(readObject(metadata));
  const namespace = readText(readObject<V1ObjectMeta>(metadata).namespace);
  if (identity === null || namespace === null) return null;
  const { disruptionsAllowed } = readObject<V1PodDisruptionBudgetStatus>(status);
  return { ...identity, namespace, allowed: readCount(disruptionsAllowed) ?? 0 };
}

export class BudgetWatch {
  readonly #budgets: Reflector<KubeBudget>;
  isOn = false;

  /** `opened`: the budget allows more evictions than before, now `allowed`. */
  constructor(
    { api, clock, random, log }: NodePorts & { log: Log },
    opened: (namespace: string, name: string, allowed: number) => void,
  ) {
    this.#budgets = new Reflector<KubeBudget>({
      ...{ api, clock, random, log, path: "/apis/policy/v1/poddisruptionbudgets", query: {} },
      read: readBudget,
      changed(before, after) {
        if (after === null || after.allowed <= (before?.allowed ?? 0)) return;
        opened(after.namespace, after.name, after.allowed);
      },
    });
  }

  tend(isWanted: boolean): void {
    if (isWanted === this.isOn) return;
    this.isOn = isWanted;
    if (isWanted) this.#budgets.start();
    else this.#budgets.stop();
  }
}
