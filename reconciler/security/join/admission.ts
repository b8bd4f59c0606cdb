/**
 * What stands between the network and the routes, composed once for each role of the process: who
 * may join, which credentials count, what is written down, and how often one may fail.
 */
import { Audit } from "../audit/audit.ts";
import { Logins } from "../audit/logins.ts";
import type { Authority } from "../auth.ts";
import type { Clock, Log } from "../../core/clock.ts";
import type { Store } from "../../core/store.ts";
import { Joins } from "./joins.ts";
import { Keys } from "./keys.ts";

export type Admission = { audit: Audit; logins: Logins; joins: Joins; keys: Keys };

export function openAdmission(from: {
  store: Store;
  authority: Authority;
  clock: Clock;
  log: Log;
  /** Another period of rotation than a day, for tests. */
  rotationMs?: number;
}): Admission {
  const { store, authority, clock, log, rotationMs } = from;
  const period = rotationMs === undefined ? {} : { periodMs: rotationMs };
  return {
    audit: new Audit({ table: store.auditTable(), clock, log }),
    logins: new Logins(clock),
    joins: new Joins({ table: store.joinTable(), authority, clock, log }),
    keys: new Keys({ authority, store, clock, log, ...period }),
  };
}
