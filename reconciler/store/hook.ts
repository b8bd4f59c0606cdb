/**
 * Calls what hangs on a store: the log and the metrics, so that no writer has to think of them.
 */
import type { Change, StoreHooks } from "../core/store.ts";

export function noHooks(): StoreHooks {
  return { quarantined: () => undefined, committed: () => undefined };
}

export function callHooks(hooks: StoreHooks, change: Change): void {
  if (change.quarantined.length > 0) hooks.quarantined(change.quarantined);
  hooks.committed(change);
}
