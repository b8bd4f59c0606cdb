/**
 * The tables of the store that others than the loop write: join tokens, the audit and the lease.
 * Types only; `libsql.ts` opens them.
 */
import type { AuditDraft, AuditQuery, AuditRow } from "../../schema/audit.ts";
import type { Credential } from "../../schema/credential.ts";
import type { JoinToken, JoinUse } from "../../schema/join.ts";

/** A token and how often it was used. */
export type CountedToken = { token: JoinToken; uses: number };

export type JoinTable = {
  /** Newest first. */
  list(): Promise<CountedToken[]>;
  byId(id: string): Promise<CountedToken | null>;
  byHash(hash: string): Promise<CountedToken | null>;
  /** How many could still be used at `now`. */
  countOpen(now: number): Promise<number>;
  use(token: string, nonce: string): Promise<JoinUse | null>;
  /** Writes a new token, or a known one again. */
  save(token: JoinToken): Promise<void>;
  /** All of it or nothing; rejects if this use was given already. */
  give(from: {
    token: string;
    ordinal: number;
    nonce: string;
    at: number;
    use: JoinUse;
    credential: Credential;
  }): Promise<void>;
  /** Forgets what ended before `before`. */
  trim(before: number): Promise<void>;
};

export type AuditTable = {
  /** Resolves with the row's id once it is durable. */
  append(draft: AuditDraft): Promise<number>;
  /** What each row stands for by now. */
  count(rows: { id: number; count: number; until: number }[]): Promise<void>;
  /** Newest first. */
  read(query: AuditQuery): Promise<AuditRow[]>;
  /** Keeps this many of each kind, deleting at most a batch. */
  trim(kept: { done: number; refused: number }): Promise<void>;
};

export type LeaseRow = {
  /** Empty once it was given back. */
  holder: string;
  epoch: number;
  renewal: number;
  /** URL at which the holder takes what others forward. */
  address: string;
  /** Changes of the fleet so far: a copy made at another number is old. */
  writes: number;
};

/** Every call is one statement, so it happened as a whole or not at all. Each may reject. */
export type LeaseTable = {
  read(): Promise<LeaseRow | null>;
  /**
   * Takes the lease if it still is as it was `seen` (`null` = never held). Resolves with the new
   * epoch, or `null` if another process was faster.
   */
  take(seen: LeaseRow | null, mine: LeaseClaim): Promise<number | null>;
  /** False: another process has it. */
  renew(holder: string, epoch: number, expiresAt: number): Promise<boolean>;
  /** Gives it back, so that the next one need not wait. */
  release(holder: string, epoch: number): Promise<void>;
};

/** `expiresAt` is for people who look at the row. */
export type LeaseClaim = { holder: string; address: string; expiresAt: number };
