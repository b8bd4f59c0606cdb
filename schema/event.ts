/**
 * Events for people and for watchers: append-only, ordered by `id`, one row for each change of a
 * node, pool or command, with the reason (invariant I14). docs/events.md lists the kinds.
 */
import * as v from "valibot";
import { NodeId, PoolName, SessionId } from "./id.ts";
import { count, instant } from "./number.ts";

export const EVENT_KINDS = [
  "node.requested",
  "node.booting",
  "node.bootstrapping",
  "node.bootstrapped",
  "node.registered",
  "node.verified",
  "node.finding",
  "node.health",
  "node.suspect",
  "node.unhealthy",
  "node.cordoned",
  "node.uncordoned",
  "node.draining",
  "node.drained",
  "node.repairing",
  "node.replacing",
  "node.terminating",
  "node.terminated",
  "node.replaced",
  "node.recovered",
  "node.silent",
  "node.heard",
  "node.failed",
  "node.held",
  "node.gap",
  "node.forgotten",
  "instance.adopted",
  "instance.lost",
  "instance.surplus",
  "pool.size",
  "pool.condition",
  "command.issued",
  "command.finished",
  "policy.loaded",
  "config.loaded",
  "safety.frozen",
  "safety.breaker",
  "safety.quarantine",
  "safety.lemon",
  "safety.released",
  "provider.error",
  "kube.matched",
  "kube.changed",
  "kube.lost",
  "kube.left",
  "kube.unproven",
  "kube.hold",
  "kube.hold_unclear",
  "kube.cordoned",
  "kube.uncordoned",
  "kube.ambiguous",
  "kube.refused",
  "kube.uncordoned_broken",
  "kube.uncordon_loop",
  "credential.created",
  "credential.revoked",
  "store.quarantined",
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

export const Event = v.object({
  id: count,
  at: instant,
  kind: v.picklist(EVENT_KINDS),
  node: v.nullable(NodeId),
  pool: v.nullable(PoolName),
  session: v.nullable(SessionId),
  /** Who: `navarch`, or `human:<name>`. */
  actor: v.string(),
  message: v.string(),
});
export type Event = v.InferOutput<typeof Event>;
/** An event before the store gave it its number. */
export type EventDraft = Omit<Event, "id">;
