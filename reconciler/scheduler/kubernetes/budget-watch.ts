/**
 * Watches disruption budgets while somebody waits for one, so that whom a budget has refused is
 * asked again when it opens and not when a back-off ends. It only ever brings an ask forward: where
 * it cannot look, or says nothing, the back-off stands, and the server judges each eviction anew.
 */
import type { Clock, Log } from "../../clock.ts";
import type { KubeApi } from "./api.ts";
import { readCount, readIdentity, readObject, readText } from "./read-field.ts";
import { Reflector } from "./reflector.ts";

export type KubeBudget = {
  namespace: string;
  name: string;
  uid: string;
  resourceVersion: string;
  /** Evictions that it grants now, as its controller counted them last. */
  allowed: number;
};

/** `null` for what is no budget with a name and a UID; never throws. */
export function readBudget(json: unknown): KubeBudget | null {
  const object = readObject(json);
  const metadata = readObject(object["metadata"]);
  const identity = readIdentity(metadata);
  const namespace = readText(metadata["namespace"]);
  if (identity === null || namespace === null) return null;
  const allowed = readCount(readObject(object["status"])["disruptionsAllowed"]) ?? 0;
  return { ...identity, namespace, allowed };
}

type Ports = { api: KubeApi; clock: Clock; random: () => number; log: Log };

export class BudgetWatch {
  readonly #budgets: Reflector<KubeBudget>;
  isOn = false;

  /** `opened`: the budget grants so many evictions, more than it did before. */
  constructor(ports: Ports, opened: (namespace: string, name: string, allowed: number) => void) {
    const { api, clock, random, log } = ports;
    this.#budgets = new Reflector<KubeBudget>({
      ...{ api, clock, random, log },
      query: {},
      path: "/apis/policy/v1/poddisruptionbudgets",
      read: readBudget,
      keyOf: ({ namespace, name }) => `${namespace}/${name}`,
      versionOf: ({ resourceVersion }) => resourceVersion,
      uidOf: ({ uid }) => uid,
      changed: (_key, before, after) => {
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
