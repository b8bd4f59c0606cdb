/**
 * A cluster that could not be reached yet, asked for again until it can: its pools are not known
 * meanwhile, and nothing else of the control plane waits for it.
 */
import type { PoolCluster } from "../core/agentpool/model.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { KubeApi } from "../kubernetes/api.ts";

export type Reached = { cluster: PoolCluster; api: KubeApi };

const AGAIN_MS = 60_000;
const NOWHERE: ReadonlyMap<string, string> = new Map();

/** `why`: of the first failure. `reach` resolves with a text while it fails. */
export function openLate(
  why: string,
  reach: () => Promise<Reached | string>,
  { clock, log }: { clock: Clock; log: Log },
): Reached {
  let problem = why;
  let reached: Reached | null = null;
  let wakeUp: (() => void) | null = null;
  const later = (): void => void clock.after(AGAIN_MS, () => void again());
  const again = async (): Promise<void> => {
    const answer = await reach();
    if (typeof answer === "string") {
      const isNew = answer !== problem;
      if (isNew) log("warn", "the cluster of AgentPools is not reached", { why: answer });
      problem = answer;
      return later();
    }
    reached = answer;
    if (wakeUp === null) return;
    answer.cluster.start(wakeUp);
    wakeUp();
  };
  later();
  const unknown = () => ({ version: 0, isKnown: false, dark: problem, darkIn: NOWHERE, list: [] });
  const lost = () => Promise.resolve({ kind: "lost" as const, message: problem });
  const cluster: PoolCluster = {
    pools: () => reached?.cluster.pools() ?? unknown(),
    pods: () => reached?.cluster.pods() ?? unknown(),
    create: (pool, worker) => reached?.cluster.create(pool, worker) ?? lost(),
    check: (pool) => reached?.cluster.check(pool) ?? lost(),
    delete: (pod) => reached?.cluster.delete(pod) ?? lost(),
    hold: (pool, isHeld) => reached?.cluster.hold(pool, isHeld) ?? lost(),
    show: (pool, status) => reached?.cluster.show(pool, status),
    tell: (pool, event) => reached?.cluster.tell(pool, event),
    start(wake) {
      wakeUp = wake;
      reached?.cluster.start(wake);
    },
    stop() {
      wakeUp = null;
      reached?.cluster.stop();
    },
  };
  const api: KubeApi = {
    call: (request) => reached?.api.call(request) ?? lost(),
    watch: (path, query, take, options) => reached?.api.watch(path, query, take, options) ?? lost(),
    close: () => reached?.api.close(),
  };
  return { cluster, api };
}
