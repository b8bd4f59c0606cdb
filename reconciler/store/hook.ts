/**
 * Calls the hooks of a store (log, metrics) after each commit, so that no writer has to.
 */
import type { Change, StoreHooks } from "../core/store.ts";

export function noHooks(): StoreHooks {
  return { quarantined: () => undefined, committed: () => undefined };
}

export function callHooks(hooks: StoreHooks, change: Change): void {
  if (change.quarantined.length > 0) hooks.quarantined(change.quarantined);
  hooks.committed(change);
}
