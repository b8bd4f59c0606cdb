/** The leader's copy of stored workers and claims, indexed; written only after a commit. */
import { isOpenClaim, type SlotClaim, type Worker } from "../../schema/agentpool.ts";
import { namespaceOf } from "../core/agentpool/name.ts";
import type { WorkerChange, WorkerTable } from "../core/store-table.ts";

type Change = Pick<WorkerChange, "workers" | "removed" | "claims">;

/** Ended claims are kept this long, for those who ask what became of them. */
export const KEPT_MS = 24 * 3_600_000;

export class Rows {
  private readonly workers = new Map<string, Worker>();
  private readonly byNode = new Map<string, Worker>();
  private readonly claims = new Map<string, SlotClaim>();
  private readonly workersOf = new Map<string, Map<string, Worker>>();
  private readonly claimsOf = new Map<string, Map<string, SlotClaim>>();
  private ordinal = 0;

  static async read(table: WorkerTable): Promise<Rows> {
    const rows = new Rows();
    const { workers, claims } = await table.read();
    rows.take({ workers, removed: [], claims });
    return rows;
  }

  take({ workers, removed, claims }: Change): void {
    for (const name of removed) this.drop(name);
    for (const one of workers) {
      this.drop(one.name);
      this.workers.set(one.name, one);
      if (one.node !== null) this.byNode.set(one.node, one);
      inside(this.workersOf, one.poolUid).set(one.name, one);
    }
    for (const one of claims) {
      this.claims.set(one.id, one);
      const open = inside(this.claimsOf, one.poolUid);
      if (isOpenClaim(one)) open.set(one.id, one);
      else open.delete(one.id);
      this.ordinal = Math.max(this.ordinal, one.ordinal);
    }
  }

  private drop(name: string): void {
    const before = this.workers.get(name);
    if (before === undefined) return;
    this.workers.delete(name);
    if (before.node !== null) this.byNode.delete(before.node);
    this.workersOf.get(before.poolUid)?.delete(name);
  }

  /** Ended claims beyond their retention. */
  trim(now: number): void {
    for (const { id, endedAt } of this.claims.values()) {
      if (endedAt !== null && endedAt < now - KEPT_MS) this.claims.delete(id);
    }
  }

  worker(name: string): Worker | null {
    return this.workers.get(name) ?? null;
  }

  ofNode(node: string): Worker | null {
    return this.byNode.get(node) ?? null;
  }

  claim(id: string): SlotClaim | null {
    return this.claims.get(id) ?? null;
  }

  workersIn(poolUid: string): Worker[] {
    return [...(this.workersOf.get(poolUid)?.values() ?? [])];
  }

  /** Open ones, by arrival. */
  claimsIn(poolUid: string): SlotClaim[] {
    const open = [...(this.claimsOf.get(poolUid)?.values() ?? [])];
    return open.sort((a, b) => a.ordinal - b.ordinal);
  }

  openIn(poolUid: string): number {
    return this.claimsOf.get(poolUid)?.size ?? 0;
  }

  /** UIDs of pools that have a row. */
  poolUids(): Set<string> {
    const kept = (of: ReadonlyMap<string, ReadonlyMap<string, unknown>>): string[] =>
      [...of].filter(([, rows]) => rows.size > 0).map(([uid]) => uid);
    return new Set([...kept(this.workersOf), ...kept(this.claimsOf)]);
  }

  /** Of a pool that has a row. */
  namespaceOf(poolUid: string): string {
    const [worker] = this.workersOf.get(poolUid)?.values() ?? [];
    const [claim] = this.claimsOf.get(poolUid)?.values() ?? [];
    return namespaceOf(worker?.pool ?? claim?.pool ?? "");
  }

  nextOrdinal(): number {
    this.ordinal += 1;
    return this.ordinal;
  }
}

function inside<T>(of: Map<string, Map<string, T>>, key: string): Map<string, T> {
  const known = of.get(key);
  if (known !== undefined) return known;
  const made = new Map<string, T>();
  of.set(key, made);
  return made;
}
