/**
 * An API server that holds AgentPools and their pods, in memory: finalizers, deletion with grace,
 * deletion by UID, creation by name, garbage collection by owner, and faults of each.
 */
import type { Worker } from "../../../schema/agentpool.ts";
import type {
  AgentPool,
  Condition,
  Copy,
  DeleteAnswer,
  PodAnswer,
  PoolCluster,
  PoolEvent,
  PoolScaler,
  PoolStatus,
  WorkerPod,
} from "../../../reconciler/core/agentpool/model.ts";

const SCALER: PoolScaler = {
  ...{ min: 0, max: 5, minIdle: 0, maxIdle: 0, decayMs: 360_000_000, killUnknownMs: 300_000 },
  slots: 1,
};

/** A pool as the reader gives it, held and without problems. */
export function anyPool(
  name: string,
  scaler: Partial<PoolScaler> | null = {},
  more: Partial<AgentPool> = {},
): AgentPool {
  const namespace = "default";
  return {
    ...{ key: `${namespace}/${name}`, namespace, name, uid: `${name}-uid`, resourceVersion: "1" },
    ...{ generation: 1, isDeleting: false, hasFinalizer: true, drainsOnDelete: false },
    ...{ recycles: false, adopts: false, pendingTimeoutMs: 900_000, problems: [] },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: "agent" }] } },
    scaler: scaler === null ? null : { ...SCALER, ...scaler },
    ...more,
  };
}

/** Pods of other namespaces may have the same name. */
const keyOf = ({ namespace, name }: Pick<WorkerPod, "namespace" | "name">): string =>
  namespace === "default" ? name : `${namespace}/${name}`;

export type PodWrite = { at: number; verb: "create" | "delete"; name: string };

export class MemoryCluster implements PoolCluster {
  readonly objects = new Map<string, AgentPool>();
  /** By name, those outside `default` by `NAMESPACE/NAME`. */
  readonly live = new Map<string, WorkerPod>();
  readonly writes: PodWrite[] = [];
  readonly events: PoolEvent[] = [];
  readonly shown = new Map<string, PoolStatus>();
  now = 1_000_000;
  /** What each creation and dry run answers; `null` = they succeed. */
  refuses: Exclude<PodAnswer, { kind: "ok" }> | null = null;
  /** Only the dry run's, if it is another. */
  checks: PodAnswer | null = null;
  /** Why the list of pods is not current. */
  dark: string | null = null;
  /** Pods that a list leaves out although they live. */
  readonly unlisted = new Set<string>();
  poolsDarkIn: ReadonlyMap<string, string> = new Map();
  podsDarkIn: ReadonlyMap<string, string> = new Map();
  /** Pods end as soon as they are deleted. */
  hasGrace = false;
  private wakeUp: () => void = () => {};
  private made = 0;
  private version = 1;

  apply(pool: AgentPool): void {
    this.objects.set(pool.key, pool);
    this.changed();
  }

  edit(key: string, change: Partial<AgentPool>): void {
    const pool = this.objects.get(key);
    if (pool !== undefined) this.apply({ ...pool, ...change });
  }

  /** As `kubectl delete agentpool` does. */
  remove(key: string): void {
    const pool = this.objects.get(key);
    if (pool === undefined) return;
    if (pool.hasFinalizer) this.apply({ ...pool, isDeleting: true });
    else this.collect(pool);
  }

  private collect(pool: AgentPool): void {
    this.objects.delete(pool.key);
    for (const pod of this.live.values()) if (pod.ownerUid === pool.uid) this.kill(keyOf(pod));
    this.changed();
  }

  setPod(name: string, change: Partial<WorkerPod>): void {
    const pod = this.live.get(name);
    if (pod !== undefined) this.live.set(name, { ...pod, ...change });
    this.changed();
  }

  /** A pod that another party creates. */
  addPod(name: string, more: Partial<WorkerPod>): WorkerPod {
    const pod: WorkerPod = {
      ...{ name, namespace: "default", uid: `pod-${this.made++}`, ownerUid: null, labels: {} },
      ...{ generation: null, phase: "Pending" as const, isDeleting: false, createdAt: this.now },
      ...{ nodeName: null, trouble: null },
      ...more,
    };
    this.live.set(keyOf(pod), pod);
    this.changed();
    return pod;
  }

  /** As `kubectl delete pod` does. */
  kill(name: string): void {
    if (this.hasGrace) this.setPod(name, { isDeleting: true });
    else this.end(name);
  }

  end(name: string): void {
    this.live.delete(name);
    this.changed();
  }

  /** Grace periods are over. */
  endAll(): void {
    for (const pod of this.live.values()) if (pod.isDeleting) this.live.delete(keyOf(pod));
    this.changed();
  }

  createNow(pool: AgentPool, { name, generation }: Pick<Worker, "name" | "generation">): PodAnswer {
    this.writes.push({ at: this.now, verb: "create", name });
    if (this.refuses !== null) return this.refuses;
    const known = this.live.get(keyOf({ namespace: pool.namespace, name }));
    if (known !== undefined) return { kind: "ok", uid: known.uid };
    // An owner that is gone is collected at once.
    if (this.objects.get(pool.key)?.uid !== pool.uid) return { kind: "ok", uid: "collected" };
    const { uid: ownerUid, namespace } = pool;
    const { uid } = this.addPod(name, { ownerUid, generation, namespace });
    return { kind: "ok", uid };
  }

  checkNow(): PodAnswer {
    return this.checks ?? this.refuses ?? { kind: "ok", uid: "" };
  }

  deleteNow(pod: Pick<WorkerPod, "namespace" | "name" | "uid">): DeleteAnswer {
    this.writes.push({ at: this.now, verb: "delete", name: pod.name });
    if (this.live.get(keyOf(pod))?.uid === pod.uid) this.kill(keyOf(pod));
    return { kind: "ok" };
  }

  holdNow({ key, uid }: AgentPool, isHeld: boolean): DeleteAnswer {
    const pool = this.objects.get(key);
    if (pool?.uid !== uid) return { kind: "ok" };
    if (!isHeld && pool.isDeleting) this.collect(pool);
    else this.apply({ ...pool, hasFinalizer: isHeld });
    return { kind: "ok" };
  }

  condition(key: string, type: Condition["type"]): Condition | undefined {
    return this.shown.get(key)?.conditions.find((one) => one.type === type);
  }

  pools(): Copy<AgentPool> {
    const list = [...this.objects.values()];
    return { version: this.version, isKnown: true, dark: null, darkIn: this.poolsDarkIn, list };
  }

  pods(): Copy<WorkerPod> {
    const { dark, podsDarkIn: darkIn, version } = this;
    const list = [...this.live.values()].filter(({ name }) => !this.unlisted.has(name));
    return { version, isKnown: true, dark, darkIn, list };
  }

  async create(pool: AgentPool, worker: Pick<Worker, "name" | "generation">): Promise<PodAnswer> {
    return this.createNow(pool, worker);
  }

  async check(): Promise<PodAnswer> {
    return this.checkNow();
  }

  async delete(pod: Pick<WorkerPod, "namespace" | "name" | "uid">): Promise<DeleteAnswer> {
    return this.deleteNow(pod);
  }

  async hold(pool: AgentPool, isHeld: boolean): Promise<DeleteAnswer> {
    return this.holdNow(pool, isHeld);
  }

  show(pool: AgentPool, status: PoolStatus): void {
    this.shown.set(pool.key, status);
  }

  tell(_: AgentPool, event: PoolEvent): void {
    this.events.push(event);
  }

  start(wakeUp: () => void): void {
    this.wakeUp = wakeUp;
  }

  stop(): void {
    this.wakeUp = () => {};
  }

  private changed(): void {
    this.version += 1;
    this.wakeUp();
  }
}
