/**
 * Events: append-only, ordered by `id`, one for each change of a node, pool or command, with its
 * reason (invariant I14). docs/events.md lists the kinds.
 */
import * as v from "valibot";
import { NodeId, PoolName, SessionId } from "./id.ts";
import { count, instant } from "./number.ts";

type Level = "debug" | "info" | "warn" | "error";

/** Every kind, with level and text of its log line; `null` = logged where it is found. */
export const EVENTS = {
  "node.requested": ["info", "node requested"],
  "node.booting": ["info", "machine bought"],
  "node.bootstrapping": ["info", "machine set-up"],
  "node.bootstrapped": ["info", "machine set up"],
  "node.registered": ["info", "agent registered"],
  "node.verified": ["info", "node in service"],
  "node.finding": ["debug", "finding"],
  "node.health": ["info", "health changed"],
  "node.suspect": ["warn", "node suspect"],
  "node.unhealthy": ["warn", "node unhealthy"],
  "node.cordoned": ["info", "node cordoned"],
  "node.uncordoned": ["info", "node uncordoned"],
  "node.draining": ["info", "drain started"],
  "node.drained": ["info", "drain ended"],
  "node.repairing": ["info", "node rebooting"],
  "node.replacing": ["info", "node waits for its replacement"],
  "node.terminating": ["info", "machine terminating"],
  "node.terminated": ["info", "machine terminated"],
  "node.replaced": ["info", "node replaced"],
  "node.recovered": ["info", "node recovered"],
  "node.silent": ["warn", "agent silent"],
  "node.heard": ["info", "agent heard again"],
  "node.failed": ["warn", "node failed to come up"],
  "node.held": ["error", "node held for a person"],
  "node.gap": ["warn", "findings lost"],
  "node.forgotten": ["info", "node forgotten"],
  "instance.notice": ["warn", "interruption announced"],
  "instance.adopted": ["info", "machine adopted"],
  "instance.lost": ["warn", "machine lost"],
  "instance.surplus": ["warn", "surplus machine"],
  "pool.size": ["info", "pool size changed"],
  "pool.condition": ["warn", "pool condition"],
  "command.issued": ["info", "order accepted"],
  "command.finished": ["info", "order finished"],
  "policy.loaded": ["info", "policy loaded"],
  "config.loaded": ["info", "configuration loaded"],
  "safety.frozen": ["warn", "held by a person"],
  "safety.breaker": ["warn", "circuit breaker"],
  "safety.quarantine": ["warn", "rule suspended"],
  "safety.lemon": ["warn", "hardware quarantined"],
  "safety.released": ["info", "released"],
  "fleet.adopted": ["warn", "fleet adopted"],
  "fleet.ignored": ["info", "other fleet ignored"],
  "provider.error": ["warn", "provider error"],
  "kube.matched": ["info", "Node object matched"],
  "kube.changed": ["warn", "Node object created again"],
  "kube.lost": ["warn", "Node object deleted"],
  "kube.not_ready": ["warn", "Node not Ready"],
  "kube.ready": ["info", "Node Ready again"],
  "kube.left": ["info", "Node object released"],
  "kube.unproven": ["warn", "Node object not proven"],
  "kube.hold": ["info", "hold changed"],
  "kube.hold_unclear": ["warn", "hold unclear"],
  "kube.cordoned": ["info", "Node cordoned in Kubernetes"],
  "kube.uncordoned": ["info", "Node uncordoned in Kubernetes"],
  "kube.ambiguous": ["error", "Node object ambiguous"],
  "kube.refused": ["error", "Kubernetes refused"],
  "kube.uncordoned_broken": ["error", "broken node uncordoned"],
  "kube.uncordon_loop": ["error", "node uncordoned repeatedly"],
  "slurm.matched": ["info", "NodeName matched"],
  "slurm.lost": ["warn", "NodeName lost"],
  "slurm.drained": ["info", "node drained in Slurm"],
  "slurm.released": ["info", "node released in Slurm"],
  "slurm.foreign": ["info", "node drained in Slurm by others"],
  "slurm.down": ["info", "node taken out of service by Slurm"],
  "slurm.undrained": ["warn", "drain removed in Slurm"],
  "slurm.jobs_told": ["warn", "jobs requeued or signalled"],
  "slurm.refused": ["error", "Slurm refused"],
  "slurm.pods": ["info", "Slurm pods"],
  "credential.created": ["info", "credential created"],
  "credential.revoked": ["info", "credential revoked"],
  "simulation.fault": ["warn", "fault injected or cleared"],
  "simulation.provider": ["warn", "provider broken or healed on purpose"],
  "store.quarantined": null,
} as const satisfies Record<string, readonly [Level, string] | null>;
export type EventKind = keyof typeof EVENTS;

export const EVENT_KINDS = Object.keys(EVENTS) as EventKind[];

export const Event = v.object({
  id: count,
  at: instant,
  kind: v.picklist(EVENT_KINDS),
  node: v.nullable(NodeId),
  pool: v.nullable(PoolName),
  session: v.nullable(SessionId),
  /** `navarch`, or `human:<name>`. */
  actor: v.string(),
  message: v.string(),
});
export type Event = v.InferOutput<typeof Event>;
/** An event before the store gave it its number. */
export type EventDraft = Omit<Event, "id"> & {
  /** Of `node.drained`: no work was left. For those who see the change; it is not stored. */
  emptied?: boolean;
};
