/**
 * Tells an AgentPool whose pods do not start which ConfigMap of its template is missing: the
 * kubelet says so only in events of each pod. Asked of pools with pods that wait, and of no other.
 */
import type { AgentPool, Copy, PoolEvent, WorkerPod } from "../core/agentpool/model.ts";
import type { Clock } from "../core/clock.ts";
import type { KubeApi } from "../kubernetes/api.ts";
import { readList, readObject, readText } from "../kubernetes/read-field.ts";
import type { Fields } from "../kubernetes/read-field.ts";
import { isNotFound } from "./pod-call.ts";

const EACH_MS = 30_000;
/** A pod that starts needs a few seconds; a ConfigMap may be applied after its pool. */
const WAITS_MS = 15_000;
const CALL_MS = 5_000;
/** Of one pool, and pools of one round; the rest is asked in a later one. */
const MAPS_MAX = 10;
const POOLS_MAX = 20;

type Ports = {
  api: KubeApi;
  clock: Clock;
  pools: () => Copy<AgentPool>;
  pods: () => Copy<WorkerPod>;
  tell: (pool: AgentPool, event: PoolEvent) => void;
};

export class MissingMaps {
  readonly #ports: Ports;
  #cancel: (() => void) | null = null;
  #run = 0;
  /** Where the next round begins. */
  #from = 0;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  start(): void {
    if (this.#cancel === null) this.#after((this.#run += 1));
  }

  stop(): void {
    this.#run += 1;
    this.#cancel?.();
    this.#cancel = null;
  }

  #after(run: number): void {
    this.#cancel = this.#ports.clock.after(EACH_MS, () => {
      void this.#look(run).finally(() => {
        if (run === this.#run) this.#after(run);
      });
    });
  }

  async #look(run: number): Promise<void> {
    const { tell } = this.#ports;
    for (const pool of this.#waiting()) {
      for (const name of mapsOf(pool.template).slice(0, MAPS_MAX)) {
        const isMissing = await this.#isMissing(pool, name);
        if (run !== this.#run) return;
        if (!isMissing) continue;
        const message =
          `pods of the pool wait for ConfigMap ${name}, which namespace ${pool.namespace} does ` +
          "not have: create it there, or change spec.template";
        tell(pool, { type: "Warning", reason: "ConfigMapNotFound", message });
      }
    }
  }

  #waiting(): AgentPool[] {
    const { clock, pods, pools } = this.#ports;
    const before = clock.wallMs() - WAITS_MS;
    const late = pods().list.filter((one) => one.phase === "Pending" && one.createdAt < before);
    const uids = new Set(late.map(({ ownerUid }) => ownerUid));
    const all = pools().list.filter(({ uid }) => uids.has(uid));
    if (this.#from >= all.length) this.#from = 0;
    const some = all.slice(this.#from, this.#from + POOLS_MAX);
    this.#from += POOLS_MAX;
    return some;
  }

  async #isMissing({ namespace }: AgentPool, name: string): Promise<boolean> {
    const place = `/api/v1/namespaces/${encodeURIComponent(namespace)}`;
    const path = `${place}/configmaps/${encodeURIComponent(name)}`;
    const ask = { verb: "get", path, timeoutMs: CALL_MS, lane: "read" } as const;
    const answer = await this.#ports.api.call(ask);
    return answer.kind === "refused" && isNotFound(answer);
  }
}

/** ConfigMaps without which a pod does not start: of its volumes and of its environment. */
export function mapsOf(template: Fields): string[] {
  const spec = readObject(template["spec"]);
  const lists = (of: unknown, ...keys: string[]): Fields[] =>
    keys.flatMap((key) => readList(readObject(of)[key]).map((one) => readObject(one)));
  const sources = lists(spec, "volumes").flatMap((volume) => [
    volume["configMap"],
    ...lists(volume["projected"], "sources").map((source) => source["configMap"]),
  ]);
  const containers = lists(spec, "containers", "initContainers");
  const from = containers.flatMap((one) => lists(one, "envFrom").map((env) => env["configMapRef"]));
  const keys = containers.flatMap((one) =>
    lists(one, "env").map((env) => readObject(env["valueFrom"])["configMapKeyRef"]),
  );
  const names = [...sources, ...from, ...keys].flatMap((raw) => {
    const { name, optional } = readObject(raw);
    return optional === true ? [] : (readText(name) ?? []);
  });
  return [...new Set(names)];
}
