/**
 * Watches disruption budgets while somebody waits for one, so that whom a budget has refused is
 * asked again when it opens and not when a back-off ends. It only ever brings an ask forward: where
 * it cannot look, or says nothing, the back-off stands, and the server judges each eviction again.
 */
import type { Clock, Log } from "../core/clock.ts";
import type { KubeApi } from "./api.ts";
import { readBudget } from "./read-budget.ts";
import type { KubeBudget } from "./read-budget.ts";
import { Reflector } from "./reflector.ts";

type Ports = { api: KubeApi; clock: Clock; random: () => number; log: Log };

export class BudgetWatch {
  readonly #budgets: Reflector<KubeBudget>;
  isOn = false;

  /** `opened`: the budget grants so many evictions, more than it did before. */
  constructor(
    { api, clock, random, log }: Ports,
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
