/**
 * The books of a story of AgentPools: callers and what they were told, the rows that are durable,
 * and the cluster's journal. What they say together is judged after each step; nothing here asks
 * the product what it thinks.
 */
import type { SlotClaim, Worker } from "../../../schema/agentpool.ts";
import type { KubeObject } from "../../../simulator/cluster/json.ts";
import { nameOf, objectOf, textOf, uidOf } from "../../../simulator/cluster/json.ts";
import type { KubeWrite } from "../../../simulator/cluster/world.ts";
import type { MemoryDatabase } from "../../../simulator/engine/sql.ts";
import type { Autoscaler } from "./fault.ts";
import { type Ground, ownerOf, phaseOf } from "./ground.ts";

/** A lower maximum is kept once the workers above it have left. */
const LEAVE_MS = 180_000;
const WRITES_PER_MINUTE = 60;

export type Broken = { rule: string; message: string };

export class Books {
  readonly broken: Broken[] = [];
  /** Workers whose claims may end without their callers, with the reason. */
  readonly excused = new Map<string, string>();
  /** UIDs of pools that a person deleted, and whether their claims are waited for. */
  readonly removed = new Map<string, { drains: boolean }>();
  /** Claims that their caller has given back, or that no caller waits for. */
  readonly givenBack = new Set<string>();
  workers: Worker[] = [];
  claims: SlotClaim[] = [];
  readonly totals = { claims: 0, placed: 0, lost: 0, created: 0, deleted: 0 };
  private readonly database: MemoryDatabase;
  private readonly ground: Ground;
  private readWrites = -1;
  private readonly known = new Map<string, SlotClaim>();
  private readonly maxima = new Map<string, { at: number; max: number }[]>();
  private podWrites: { at: number; pool: string }[] = [];
  private readonly poolOfPod = new Map<string, string>();

  constructor(database: MemoryDatabase, ground: Ground) {
    this.database = database;
    this.ground = ground;
  }

  private blame(rule: string, message: string): void {
    this.broken.push({ rule, message });
  }

  /** The rows as they are durable now. */
  private read(): void {
    if (this.readWrites === this.database.writes) return;
    this.readWrites = this.database.writes;
    const docs = <T>(table: string): T[] =>
      this.database.rows(`SELECT doc FROM ${table}`).map(([doc]) => JSON.parse(String(doc)) as T);
    this.workers = docs<Worker>("worker");
    this.claims = docs<SlotClaim>("slot_claim");
  }

  /** Each write of the cluster, as it happens. */
  wrote({ verb, resource, name, uid, by, at }: KubeWrite): void {
    if (resource !== "pods" || by !== "api") return;
    if (verb === "create") this.totals.created++;
    if (verb !== "create" && verb !== "delete") return;
    const pod = this.ground.kube.get("pods", "default", name);
    const owner = pod === undefined ? null : ownerOf(pod);
    const pool = textOf(owner?.["name"]) || (this.poolOfPod.get(uid) ?? "");
    this.poolOfPod.set(uid, pool);
    this.podWrites = [...this.podWrites.filter((one) => at - one.at < 60_000), { at, pool }];
    const recent = this.podWrites.filter((one) => one.pool === pool).length;
    if (recent > WRITES_PER_MINUTE) this.blame("V35", `${pool}: ${recent} pod writes in a minute`);
    if (verb === "delete") this.deleted(name, owner);
  }

  private deleted(name: string, owner: KubeObject | null): void {
    this.totals.deleted++;
    if (owner !== null && owner["kind"] !== "AgentPool") this.blame("V19", `${name} is not ours`);
    if (name.startsWith("stranger") && owner === null) this.blame("V19", `${name} has no owner`);
    this.read();
    const held = this.claims.filter((one) => one.state === "running" && one.worker === name);
    const ids = held.map(({ id }) => id).join(", ");
    if (held.length > 0) this.blame("V28", `${name} is deleted while it holds ${ids}`);
  }

  /** After each step. */
  judge(now: number, wall: number): void {
    const { writes } = this.database;
    if (writes !== this.readWrites) {
      this.read();
      this.judgeClaims(wall);
    }
    this.judgeSizes(now);
  }

  private judgeClaims(wall: number): void {
    const slots = new Map<string, string>();
    const workers = new Map(this.workers.map((one) => [one.name, one]));
    for (const claim of this.claims) {
      const { id, state, worker, slot } = claim;
      const before = this.known.get(id);
      this.known.set(id, claim);
      if (before?.state !== state) this.judgeTurn(before, claim, wall);
      if (state !== "running") continue;
      const place = `${worker} ${slot}`;
      const other = slots.get(place);
      if (other !== undefined) this.blame("V24", `${id} and ${other} hold ${place}`);
      slots.set(place, id);
      if (!workers.has(worker ?? "")) this.blame("V34", `${id} runs on ${worker}, not a worker`);
      if (before?.state === "running" && (before.worker !== worker || before.slot !== slot)) {
        this.blame("V43", `${id} moved from ${before.worker} ${before.slot} to ${place}`);
      }
    }
    const ids = new Set(this.claims.map(({ id }) => id));
    for (const [id, { state }] of this.known) {
      if (ids.has(id)) continue;
      this.known.delete(id);
      if (state === "running" || state === "queued") this.blame("V43", `${id} is forgotten`);
    }
  }

  private judgeTurn(before: SlotClaim | undefined, after: SlotClaim, wall: number): void {
    const { id, state, worker, expiresAt, poolUid, placedAt } = after;
    const isOver = before !== undefined && before.endedAt !== null;
    if (isOver) this.blame("V43", `${id} was ${before.state} and is ${state}`);
    if (state === "running") {
      this.totals.placed++;
      const row = this.workers.find(({ name }) => name === worker);
      const leaving = row?.leaving ?? null;
      // One that was placed just before may be waited for.
      if (leaving !== null && leaving.since < (placedAt ?? 0)) {
        this.blame("V29", `${id} is placed on ${worker}, which leaves (${leaving.cause})`);
      }
    } else if (state === "released" || state === "cancelled") {
      const isAsked = this.givenBack.has(id) || this.removed.has(poolUid);
      if (!isAsked) this.blame("V43", `${id} is ${state}, and its caller did not ask`);
    } else if (state === "expired") {
      if (expiresAt === null || expiresAt > wall) this.blame("V43", `${id} expired too soon`);
    } else if (state === "lost") {
      this.totals.lost++;
      const removed = this.removed.get(poolUid);
      const isExcused = this.excused.has(worker ?? "") || (removed && !removed.drains);
      if (!isExcused) this.blame("V34", `${id} is lost, and ${worker} is well`);
    }
  }

  private judgeSizes(now: number): void {
    for (const pool of this.ground.pools()) {
      const uid = uidOf(pool);
      const { maxReplicas } = scalerOf(pool);
      const all = [...(this.maxima.get(uid) ?? []), { at: now, max: maxReplicas }];
      const recent = all.filter(({ at }) => now - at < LEAVE_MS);
      this.maxima.set(uid, recent);
      const rows = this.workers.filter((one) => {
        const isCounted = one.leaving === null && one.lostSince === null && !one.found;
        return one.poolUid === uid && isCounted && !this.excused.has(one.name);
      });
      const busy = new Set(
        this.claims
          .filter((one) => one.poolUid === uid && one.state === "running")
          .map(({ worker }) => worker),
      );
      const most = Math.max(busy.size, ...recent.map(({ max }) => max));
      if (rows.length > most) {
        this.blame("V24", `${nameOf(pool)} has ${rows.length} workers, at most ${most} are wanted`);
      }
    }
  }

  /** In the end, when all faults are over, claims are given back and time has passed. */
  judgeRest(): void {
    this.read();
    const pods = this.ground.pods().filter((pod) => !nameOf(pod).startsWith("stranger"));
    const rows = new Set(this.workers.map(({ name }) => name));
    const names = new Set(pods.map(nameOf));
    for (const name of names) if (!rows.has(name)) this.blame("V30", `${name} is an orphan`);
    for (const name of rows) if (!names.has(name)) this.blame("V30", `worker ${name} has no pod`);
    for (const pod of pods) {
      if (phaseOf(pod) !== "Running") this.blame("V33", `${nameOf(pod)} is ${phaseOf(pod)}`);
    }
    const open = this.claims.filter((one) => one.state === "queued" || one.state === "running");
    for (const { id, state } of open) this.blame("V34", `${id} is ${state} still`);
    for (const pool of this.ground.pools()) {
      const own = pods.filter((pod) => textOf(ownerOf(pod)?.["uid"]) === uidOf(pool));
      const { minReplicas, maxReplicas, minIdle, defaultSlotsPerAgent } = scalerOf(pool);
      const wanted = Math.max(minReplicas, Math.ceil(minIdle / defaultSlotsPerAgent));
      const expected = Math.min(maxReplicas, wanted);
      if (own.length !== expected) {
        this.blame("V24", `${nameOf(pool)} has ${own.length} workers in the end, not ${expected}`);
      }
    }
  }
}

export const scalerOf = (pool: KubeObject): Autoscaler =>
  objectOf(objectOf(pool["spec"])["autoscaler"]) as Autoscaler;
