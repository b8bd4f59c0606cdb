/**
 * Answers routes, agents and metrics from the leader's rows and the last step of each pool, and
 * gives to the next turn what must be written first.
 */
import { isDeepStrictEqual } from "node:util";
import { isOpenClaim, type SlotClaim, type Worker } from "../../schema/agentpool.ts";
import type { WorkerReport, WorkerWord } from "../../schema/agentpool.ts";
import type { NodeId } from "../../schema/id.ts";
import { nearest } from "../../schema/nearest.ts";
import type { AgentPool, PoolCluster, WorkerPod } from "../core/agentpool/model.ts";
import { darkOf, namespaceOf } from "../core/agentpool/name.ts";
import type { AdmitAnswer, AgentPools, ClaimAnswer, NewClaim } from "../core/agentpool/service.ts";
import type { PoolView, ProvenPod, Refused, WorkerReview } from "../core/agentpool/service.ts";
import type { PoolMemory, PoolStep, Step } from "../core/agentpool/step-model.ts";
import { nodeOf } from "../core/agentpool/step-model.ts";
import { type Asked, nothingAsked } from "./draft.ts";
import { isWithoutGpus } from "./pod-request.ts";
import type { Rows } from "./rows.ts";
import { type LastEvents, viewOf } from "./view.ts";

/** One pool between two turns; `pool` is `null` once it is gone and something of it is left. */
export type Kept = {
  pool: AgentPool | null;
  memory: PoolMemory;
  step: PoolStep | Step;
  last: LastEvents;
  dueMono: number;
};

export type DeskPorts = {
  cluster: PoolCluster;
  rows(): Rows;
  /** By UID. */
  kept: ReadonlyMap<string, Kept>;
  wallMs(): number;
  monoMs(): number;
  review: AgentPools["review"];
  /** The pool's next turn: now, because a request waits, or soon. */
  wakeUp(uid: string, isWaiting: boolean): void;
};

/** An agent that joined and was not heard by then is unknown. */
const FIRST_REPORT_MS = 60_000;
/** More open claims than any pool could serve are a runaway client. */
const CLAIMS_MAX = 10_000;

/**
 * Whether the pod is the worker's: in its pool's namespace, and its pool owns it, or it is the very
 * pod that was adopted. A name alone proves nothing: another namespace may have a pod of that name.
 */
function isPodOf({ pool, poolUid, uid }: Worker, pod: WorkerPod): boolean {
  if (pod.namespace !== namespaceOf(pool) || (uid !== null && uid !== pod.uid)) return false;
  return pod.ownerUid === null ? uid === pod.uid : pod.ownerUid === poolUid;
}

export class Desk implements AgentPools {
  private readonly ports: DeskPorts;
  private asked: Asked = nothingAsked();
  private readonly reports = new Map<NodeId, WorkerReport>();
  /** Claims that are being written, by id. */
  private readonly opening = new Map<string, Promise<ClaimAnswer>>();
  /** When they joined, monotonic. */
  private readonly joined = new Map<NodeId, number>();

  constructor(ports: DeskPorts) {
    this.ports = ports;
  }

  private get rows(): Rows {
    return this.ports.rows();
  }

  /** What waits for a turn; given once. */
  take(): Asked {
    const { asked } = this;
    this.asked = nothingAsked();
    return asked;
  }

  /** A worker that has joined reports next, and is no unknown one until then. */
  isExpected(node: NodeId): boolean {
    const joined = this.joined.get(node);
    return joined !== undefined && this.ports.monoMs() - joined < FIRST_REPORT_MS;
  }

  /** What the agent last said of itself. */
  reportOf(node: NodeId): WorkerReport | null {
    return this.reports.get(node) ?? null;
  }

  forget(nodes: readonly NodeId[]): void {
    for (const node of nodes) {
      this.reports.delete(node);
      this.joined.delete(node);
    }
  }

  whyNot(namespace?: string): Refused | null {
    const copy = this.ports.cluster.pools();
    const dark = namespace === undefined ? null : darkOf(copy, namespace);
    if (copy.isKnown && dark === null) return null;
    const why = dark ?? copy.dark ?? "they are being listed";
    const message = `AgentPools are not known now: ${why}`;
    return { kind: "refused", code: "unavailable", message };
  }

  pools(): readonly PoolView[] {
    return [...this.ports.kept.values()].flatMap((one) => this.view(one) ?? []);
  }

  pool(key: string): PoolView | null {
    const kept = this.keptBy(key);
    return kept === null ? null : this.view(kept);
  }

  private view({ pool, step, last }: Kept): PoolView | null {
    if (pool === null || !("status" in step)) return null;
    const { uid } = pool;
    const [workers, claims] = [this.rows.workersIn(uid), this.rows.claimsIn(uid)];
    const slotsOf = ({ slots }: Worker): number => slots ?? pool.scaler?.slots ?? 1;
    return viewOf({ ...{ pool, step, workers, claims, last }, slotsOf });
  }

  private keptBy(key: string): Kept | null {
    for (const one of this.ports.kept.values()) if (one.pool?.key === key) return one;
    return null;
  }

  claim({ id, pool: key, label, ttlMs, by }: NewClaim): Promise<ClaimAnswer> {
    const known = this.rows.claim(id);
    if (known !== null) return Promise.resolve(this.answerOf(known));
    // A turn may be writing it: a second row of this id would undo the first one's slot.
    const asked = this.opening.get(id);
    if (asked !== undefined) return asked;
    const pool = this.keptBy(key)?.pool ?? null;
    if (pool === null) return Promise.resolve(this.noPool(key));
    const refused = (code: "conflict" | "unavailable", message: string): Promise<ClaimAnswer> =>
      Promise.resolve({ kind: "refused", code, message });
    if (pool.isDeleting) return refused("conflict", `agentpool ${key} is being deleted`);
    const open = this.rows.openIn(pool.uid) + this.asked.claims.length;
    if (open >= CLAIMS_MAX) {
      return refused("conflict", `agentpool ${key} has ${open} open claims: release some`);
    }
    const now = this.ports.wallMs();
    const row: SlotClaim = {
      ...{ id, pool: key, poolUid: pool.uid, label, by, ordinal: this.rows.nextOrdinal(), at: now },
      ...{ expiresAt: ttlMs === null ? null : now + ttlMs, state: "queued" },
      ...{ worker: null, slot: null, placedAt: null, endedAt: null },
    };
    const answer = this.ask<ClaimAnswer>(pool.uid, (done) => {
      this.asked.claims.push({ row, done });
    });
    this.opening.set(id, answer);
    return answer.finally(() => void this.opening.delete(id));
  }

  claimOf(id: string): Promise<ClaimAnswer | null> {
    const claim = this.rows.claim(id);
    return Promise.resolve(claim === null ? null : this.answerOf(claim));
  }

  async release(id: string): Promise<ClaimAnswer | null> {
    const claim = this.rows.claim(id);
    if (claim === null || !isOpenClaim(claim)) return this.claimOf(id);
    const { poolUid } = claim;
    return this.ask<ClaimAnswer>(poolUid, (done) => {
      this.asked.ends.push({ id, poolUid, done });
    });
  }

  review(token: string): Promise<WorkerReview> {
    return this.ports.review(token);
  }

  async admit({ namespace, name, uid }: ProvenPod, named: string | null): Promise<AdmitAnswer> {
    const refused = (message: string): AdmitAnswer => ({ kind: "refused", message });
    const copy = this.ports.cluster.pods();
    const { list, isKnown } = copy;
    const pod = list.find((one) => one.uid === uid && one.name === name);
    if (pod === undefined || pod.namespace !== namespace) {
      const unknown = `pod ${namespace}/${name} is not known yet as a worker's: ask again`;
      const dark = darkOf(copy, namespace);
      if (!isKnown) return { kind: "unavailable", message: unknown };
      if (dark !== null) return { kind: "unavailable", message: `${unknown} (${dark})` };
      return refused(`pod ${namespace}/${name} is no worker of an AgentPool`);
    }
    if (pod.isDeleting) return refused(`pod ${namespace}/${name} is being deleted`);
    const worker = this.rows.worker(name);
    if (worker === null || !isPodOf(worker, pod)) {
      this.ports.wakeUp(pod.ownerUid ?? "", false);
      const message = `pod ${namespace}/${name} is not known as a worker yet: ask again`;
      return { kind: "unavailable", message };
    }
    const own = worker.pool.slice(worker.pool.indexOf("/") + 1);
    if (named !== null && named !== own && named !== worker.pool) {
      return refused(`pod ${namespace}/${name} is a worker of ${worker.pool}, not of ${named}`);
    }
    if (worker.leaving !== null) return refused(`worker ${name} is leaving its pool`);
    if (worker.joinedAt !== null && worker.uid === uid) return this.joinedAs({ name, uid });
    this.joined.set(nodeOf(worker), this.ports.monoMs());
    const { poolUid } = worker;
    return this.ask<AdmitAnswer>(poolUid, (done) => {
      this.asked.joins.push({ poolUid, name, uid, done });
    });
  }

  /** `uid` is that of the pod that asked. */
  joinedAs({ name, uid }: Pick<ProvenPod, "name" | "uid">): AdmitAnswer {
    const worker = this.rows.worker(name);
    if (worker === null || worker.uid !== uid) {
      return { kind: "refused", message: `worker ${name} is gone` };
    }
    if (worker.leaving !== null) {
      return { kind: "refused", message: `worker ${name} is leaving its pool` };
    }
    if (worker.node === null) {
      return { kind: "unavailable", message: `worker ${name} is not stored yet: ask again` };
    }
    return { kind: "ok", node: worker.node, pool: worker.pool };
  }

  workerOf = (node: NodeId): Worker | null => this.rows.ofNode(node);

  heard(node: NodeId, report: WorkerReport): WorkerWord | null {
    const worker = this.rows.ofNode(node);
    if (worker === null) return null;
    const before = this.reports.get(node);
    this.reports.set(node, report);
    const isNews = before === undefined || !isDeepStrictEqual(before, report);
    if (isNews) this.ports.wakeUp(worker.poolUid, false);
    return this.wordOf(node);
  }

  /** What the agent of a worker is told. */
  wordOf(node: NodeId): WorkerWord | null {
    const worker = this.rows.ofNode(node);
    if (worker === null) return null;
    const claims = this.rows.claimsIn(worker.poolUid).filter((one) => one.worker === worker.name);
    const word = { pool: worker.pool, claims: claims.length, stop: worker.leaving !== null };
    const pool = this.ports.kept.get(worker.poolUid)?.pool ?? null;
    return pool !== null && isWithoutGpus(pool) ? { ...word, without_gpus: true } : word;
  }

  private noPool(key: string): ClaimAnswer {
    const why = this.whyNot(namespaceOf(key));
    if (why !== null) return why;
    const near = nearest(
      key,
      [...this.ports.kept.values()].flatMap((one) => one.pool?.key ?? []),
    );
    const hint = near === null ? "" : ` (did you mean ${near}?)`;
    return { kind: "refused", code: "not_found", message: `no agentpool ${key}${hint}` };
  }

  answerOf(claim: SlotClaim): ClaimAnswer {
    if (claim.state === "running") return { kind: "running", claim };
    if (claim.state !== "queued") return { kind: "ended", claim };
    const queued = this.rows.claimsIn(claim.poolUid).filter(({ state }) => state === "queued");
    const position = queued.findIndex(({ id }) => id === claim.id) + 1;
    const step = this.ports.kept.get(claim.poolUid)?.step;
    const conditions = step !== undefined && "status" in step ? step.status.conditions : [];
    const why = conditions.find(({ type, status }) => status === "True" && type !== "Ready");
    const because = why?.message ?? "no slot is free; a worker is on its way";
    return { kind: "queued", claim, position, because };
  }

  /** A claim that was not written, because its pool went meanwhile, is refused. */
  answerTo(asked: SlotClaim | null): ClaimAnswer {
    const claim = asked === null ? null : this.rows.claim(asked.id);
    if (claim !== null) return this.answerOf(claim);
    const message = `agentpool ${asked?.pool ?? ""} is gone`;
    return { kind: "refused", code: "not_found", message };
  }

  private ask<T>(uid: string, put: (done: (answer: T) => void) => void): Promise<T> {
    const answer = new Promise<T>((resolve) => put(resolve));
    this.ports.wakeUp(uid, true);
    return answer;
  }
}
