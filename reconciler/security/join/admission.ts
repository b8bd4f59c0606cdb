/** The parts that authenticate and audit requests, made for each role of the process. */
import { Audit, type AuditFrom } from "../audit/audit.ts";
import { Logins } from "../audit/logins.ts";
import type { Authority } from "../auth.ts";
import type { Clock, Log } from "../../core/clock.ts";
import type { Store } from "../../core/store.ts";
import { Joins } from "./joins.ts";
import { Keys } from "./keys.ts";
import { WorkerJoins } from "./worker-join.ts";

export type Admission = {
  audit: Audit;
  logins: Logins;
  joins: Joins;
  keys: Keys;
  workers: WorkerJoins;
};

export function openAdmission(from: {
  store: Store;
  authority: Authority;
  clock: Clock;
  log: Log;
  actOf: AuditFrom["actOf"];
}): Admission {
  const { store, authority, clock, log, actOf } = from;
  const table = store.joinTable();
  return {
    audit: new Audit({ table: store.auditTable(), clock, log, actOf }),
    logins: new Logins(clock),
    joins: new Joins({ table, authority, clock, log }),
    keys: new Keys({ authority, store, clock, log }),
    workers: new WorkerJoins({ authority, store, table, clock, log }),
  };
}
