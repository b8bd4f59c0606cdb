/**
 * Tells an AgentPool outside the configured namespaces that it is not served, once while this
 * process runs: its author would wait for pods. Only if the account may list the whole cluster; it
 * asks first, because a refusal would be logged as a missing permission.
 */
import { AGENT_POOL } from "../../schema/agentpool-resource.ts";
import type { AgentPool, PoolEvent } from "../core/agentpool/model.ts";
import type { Clock } from "../core/clock.ts";
import type { KubeApi } from "../kubernetes/api.ts";
import { readList } from "../kubernetes/call.ts";
import { checkPermissions } from "../kubernetes/permission.ts";
import { readPool } from "./read-pool.ts";
import { poolsPath } from "./status-body.ts";

const FIRST_MS = 5_000;
const EACH_MS = 60_000;
const LIST_MS = 10_000;
/** More than any person creates; bounds what is remembered. */
const TOLD_MAX = 1_000;

const LIST = {
  ...{ group: AGENT_POOL.group, resource: AGENT_POOL.plural, verb: "list", namespace: null },
  use: "telling AgentPools outside the configured namespaces that they are not served",
} as const;

type Ports = {
  api: KubeApi;
  clock: Clock;
  namespaces: readonly string[];
  tell: (pool: AgentPool, event: PoolEvent) => void;
};

export class Unwatched {
  readonly #ports: Ports;
  readonly #told = new Set<string>();
  #cancel: (() => void) | null = null;
  #run = 0;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  start(): void {
    if (this.#cancel === null) this.#after(FIRST_MS, (this.#run += 1));
  }

  stop(): void {
    this.#run += 1;
    this.#cancel?.();
    this.#cancel = null;
  }

  #after(ms: number, run: number): void {
    this.#cancel = this.#ports.clock.after(ms, () => {
      void this.#look(run).finally(() => {
        if (run === this.#run) this.#after(EACH_MS, run);
      });
    });
  }

  async #look(run: number): Promise<void> {
    const { api, namespaces, tell } = this.#ports;
    const { missing, unknown } = await checkPermissions(api, [LIST]);
    if (missing.length + unknown.length > 0) return;
    const options = { timeoutMs: LIST_MS, read: readPool };
    const answer = await readList(api, poolsPath(null), {}, options);
    if (answer.kind !== "ok" || run !== this.#run) return;
    const served = namespaces.join(", ");
    for (const pool of answer.items) {
      if (namespaces.includes(pool.namespace) || this.#told.has(pool.uid)) continue;
      if (this.#told.size >= TOLD_MAX) this.#told.clear();
      this.#told.add(pool.uid);
      const message =
        `namespace ${pool.namespace} is not served: provisioners[].kubernetes.namespace has only ` +
        `${served}; add it there and restart or reload navarch`;
      tell(pool, { type: "Warning", reason: "NotWatched", message });
    }
  }
}
