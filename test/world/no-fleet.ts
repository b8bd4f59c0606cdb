/** A control plane that cannot be asked, for workflows without fleet tasks. */
import type { Fleet } from "../../simulator/workflow/fleet.ts";

/** Every call is answered with `message`. */
export function noFleet(message: string): Fleet {
  const none = () => Promise.resolve({ ok: false as const, message });
  return { nodes: none, inject: none, replaced: none, waits: none, metrics: none };
}
