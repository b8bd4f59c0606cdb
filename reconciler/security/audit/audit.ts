/**
 * The audit: a row for each call that changed something, durable before its answer leaves, and for
 * refused and repeated calls. Of those equal ones share a row a minute, and a minute has room for
 * so many rows, so that a scanner costs the disk no more than a person who mistypes; what is beyond
 * shares one last row. The counts of the running minute are in memory: a crash keeps the rows and
 * loses those.
 */
import type { AuditDraft, AuditQuery, AuditRow } from "../../../schema/audit.ts";
import { LIMIT } from "../../../schema/limit.ts";
import type { Clock, Log } from "../../core/clock.ts";
import { StaleEpoch } from "../../core/store.ts";
import type { AuditTable } from "../../core/store-table.ts";

/** Refusals and repetitions that are equal within it share a row. */
export const WINDOW_MS = 60_000;
/** Different ones of one window that get a row of their own. */
export const KEYS_MAX = 64;
/** Appends between two looks at the bounds. */
const TRIM_EACH = 500;

type Group = { id: Promise<number | null>; count: number; told: number; until: number };

export type AuditFrom = { table: AuditTable; clock: Clock; log: Log };

export class Audit {
  private readonly from: AuditFrom;
  private readonly groups = new Map<string, Group>();
  private closing: (() => void) | null = null;
  private appended = 0;

  constructor(from: AuditFrom) {
    this.from = from;
  }

  /** A call that did something, or tried to. A row that cannot be written is logged. */
  async done(draft: AuditDraft): Promise<void> {
    await this.append(draft);
  }

  /** A call that was turned away. Resolves when its row, or its place in one, is safe. */
  refused(draft: AuditDraft): Promise<void> {
    return this.share(draft);
  }

  /** A call that was answered as before and changed nothing. */
  again(draft: AuditDraft): Promise<void> {
    return this.share(draft);
  }

  private async share(draft: AuditDraft): Promise<void> {
    const { who, code, method, target, remote } = draft;
    const own = JSON.stringify([who, code, method, who === "anonymous" ? null : target, remote]);
    const full = this.groups.size >= KEYS_MAX && !this.groups.has(own);
    // What was refused and what was not are kept and trimmed apart.
    const key = full ? `several ${draft.refused}` : own;
    const known = this.groups.get(key);
    if (known !== undefined) {
      known.count++;
      known.until = draft.at;
      return;
    }
    const told = full ? { ...draft, who: "several", role: null, target: null, remote: "" } : draft;
    const id = this.append(told);
    this.groups.set(key, { id, count: 1, told: 1, until: draft.at });
    this.closing ??= this.from.clock.after(WINDOW_MS, () => void this.close());
    await id;
  }

  /** What was counted so far becomes durable, too. */
  async flush(): Promise<void> {
    await this.tell([...this.groups.values()]);
  }

  private async tell(groups: readonly Group[]): Promise<void> {
    const rows: { id: number; count: number; until: number; group: Group }[] = [];
    for (const group of groups) {
      if (group.count === group.told) continue;
      const id = await group.id;
      if (id !== null) rows.push({ id, count: group.count, until: group.until, group });
    }
    await this.try(async () => {
      await this.from.table.count(rows.map(({ group: _, ...row }) => row));
      for (const { group, count } of rows) group.told = Math.max(group.told, count);
    });
  }

  async read(query: AuditQuery): Promise<AuditRow[]> {
    await this.flush();
    return this.from.table.read(query);
  }

  /** The minute is over. */
  private async close(): Promise<void> {
    this.closing = null;
    // What comes while the counts are written belongs to the next minute, or nobody counts it.
    const over = [...this.groups.values()];
    this.groups.clear();
    await this.tell(over);
  }

  private async append(draft: AuditDraft): Promise<number | null> {
    const id = await this.try(() => this.from.table.append(draft));
    if (this.appended++ % TRIM_EACH === 0) {
      const kept = { done: LIMIT.auditKeptMax, refused: LIMIT.auditRefusedKeptMax };
      await this.try(() => this.from.table.trim(kept));
    }
    return id;
  }

  /** A standby has no rows of its own: what it refuses it passes on, and the leader notes it. */
  private async try<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StaleEpoch)) {
        this.from.log("error", "cannot write the audit log", { error: String(error) });
      }
      return null;
    }
  }
}
