/**
 * The audit log. A call that changes something has a row, durable before its answer leaves. Equal
 * refused or repeated calls share one row a minute; a minute has room for `KEYS_MAX` such rows, and
 * the rest share one more, so a scanner costs no more disk than a person who mistypes. The current
 * minute's counts are in memory, so a crash keeps the rows and loses those counts.
 */
import type { AuditDraft, AuditQuery, AuditRow } from "../../../schema/audit.ts";
import type { Credential } from "../../../schema/credential.ts";
import { LIMIT } from "../../../schema/limit.ts";
import type { Clock, Log } from "../../core/clock.ts";
import { StaleEpoch } from "../../core/store.ts";
import type { AuditTable } from "../../core/store-table.ts";
import { type Act, isObject, withAct } from "./act.ts";
import { authorsNamed } from "./author.ts";

/** Equal refusals and repetitions within it share a row. */
export const WINDOW_MS = 60_000;
/** Rows of one window for different refusals and repetitions. */
export const KEYS_MAX = 64;
/** Rows read at once for a page with a filter. */
const BATCH_ROWS = 1_000;
/** Appends between two trims. */
const TRIM_EACH = 500;

/** A row for more different refusals than a window has room for. */
const SEVERAL = { verb: "several", kind: null, namespace: null, detail: null } as const;

/** Rows of older releases get the verb that their call stands for. */
export type ActedRow = AuditRow & { verb: string };

type Group = { id: Promise<number | null>; count: number; written: number; until: number };

export type AuditFrom = {
  table: AuditTable;
  clock: Clock;
  log: Log;
  /** What a call that a row names did: rows of older releases do not say it. */
  actOf(method: string, path: string): Act;
};

export class Audit {
  private readonly from: AuditFrom;
  private readonly groups = new Map<string, Group>();
  private closing: (() => void) | null = null;
  private appended = 0;

  constructor(from: AuditFrom) {
    this.from = from;
  }

  /**
   * A call that changed something, or tried to. False: its row could not be written, which is
   * logged.
   */
  async done(draft: AuditDraft): Promise<boolean> {
    return (await this.append(draft)) !== null;
  }

  /**
   * An action outside the database that begins now; `settle` records what came of it. If the
   * process ends between the two, the row says `unknown`. `null`: no row, so nothing may begin.
   */
  begin(draft: Omit<AuditDraft, "code" | "status">): Promise<number | null> {
    return this.append({ ...draft, code: "unknown", status: 0 });
  }

  async settle(id: number, outcome: Pick<AuditDraft, "code" | "status" | "detail">): Promise<void> {
    await this.try(() => this.from.table.settle(id, outcome));
  }

  /**
   * A refused call, or a repeated one, which got the stored answer and changed nothing. Resolves
   * when its row, or its place in one, is durable.
   */
  async share(draft: AuditDraft): Promise<void> {
    const { who, role, code, method, target, verb, path, remote } = draft;
    // A stranger chooses names and paths, and users of a machine may read its node's credential;
    // rows by paths would take the room of others.
    const named = role === "node" ? [target, verb] : [target, verb, path];
    const what = who === "anonymous" ? null : named;
    const own = JSON.stringify([who, code, method, what, remote]);
    const full = this.groups.size >= KEYS_MAX && !this.groups.has(own);
    // Refused and repeated calls are kept and trimmed separately.
    const key = full ? `several ${draft.refused}` : own;
    const known = this.groups.get(key);
    if (known !== undefined) {
      known.count++;
      known.until = draft.at;
      return;
    }
    const nobody = { who: "several", role: null, target: null, remote: "" };
    const row = full ? { ...draft, ...nobody, ...SEVERAL } : draft;
    const id = this.append(row);
    this.groups.set(key, { id, count: 1, written: 1, until: draft.at });
    this.closing ??= this.from.clock.after(WINDOW_MS, () => void this.close());
    await id;
  }

  /** Makes the counts durable. */
  async flush(): Promise<void> {
    await this.write([...this.groups.values()]);
  }

  private async write(groups: readonly Group[]): Promise<void> {
    const rows: { id: number; count: number; until: number; group: Group }[] = [];
    for (const group of groups) {
      if (group.count === group.written) continue;
      const id = await group.id;
      if (id !== null) rows.push({ id, count: group.count, until: group.until, group });
    }
    await this.try(async () => {
      await this.from.table.count(rows.map(({ group: _, ...row }) => row));
      for (const { group, count } of rows) group.written = Math.max(group.written, count);
    });
  }

  async read(query: AuditQuery): Promise<AuditRow[]> {
    await this.flush();
    return this.from.table.read(query);
  }

  /** Everybody that a name stands for; `null` = anybody. */
  async authors(name: string | null, credentials: readonly Credential[]) {
    if (name === null) return null;
    return authorsNamed(name, await this.from.table.authors(), credentials);
  }

  /**
   * The newest matching rows below `query.before`, at most `query.limit`. Rows that are added
   * meanwhile have larger ids, so pages neither repeat nor skip a row. `next` is the next page's
   * `before`; `null` = this is the last one.
   */
  async page(query: AuditQuery): Promise<{ rows: ActedRow[]; next: number | null }> {
    await this.flush();
    const rows: ActedRow[] = [];
    let { before } = query;
    for (;;) {
      const batch = await this.from.table.read({ ...query, before, limit: BATCH_ROWS });
      for (const row of batch.map((row) => withAct(row, this.from.actOf))) {
        if (query.verb !== null && row.verb !== query.verb) continue;
        if (query.kind !== null && row.kind !== query.kind) continue;
        if (query.object !== null && !isObject(row, query.object)) continue;
        if (rows.length === query.limit) return { rows, next: rows.at(-1)?.id ?? null };
        rows.push(row);
      }
      if (batch.length < BATCH_ROWS) return { rows, next: null };
      before = batch.at(-1)?.id ?? null;
    }
  }

  /** Ends the window. */
  private async close(): Promise<void> {
    this.closing = null;
    // Calls that arrive while the counts are written belong to the next window.
    const over = [...this.groups.values()];
    this.groups.clear();
    await this.write(over);
  }

  private async append(draft: AuditDraft): Promise<number | null> {
    const id = await this.try(() => this.from.table.append(draft));
    if (this.appended++ % TRIM_EACH === 0) {
      const kept = { done: LIMIT.auditKeptMax, refused: LIMIT.auditRefusedKeptMax };
      await this.try(() => this.from.table.trim(kept));
    }
    return id;
  }

  /** A standby cannot write rows: it forwards what it refuses, and the leader audits it. */
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
