/**
 * Which line of the log an event becomes: its level and its words. Pure. `info` is the ordinary
 * course, `warn` what a person should look at, `error` what waits for a person.
 */
import type { EventDraft, EventKind } from "../../schema/event.ts";
import type { Node } from "../../schema/node.ts";
import { EMPTIED } from "../core/decide/leave.ts";

export type Level = "debug" | "info" | "warn" | "error";
type Words = readonly [Level, string];

/** `null` = logged by whoever found it. */
const WORDS: Record<EventKind, Words | null> = {
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
  "provider.error": ["warn", "provider error"],
  "kube.matched": ["info", "Node object matched"],
  "kube.changed": ["warn", "Node object created again"],
  "kube.lost": ["warn", "Node object deleted"],
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
  "credential.created": ["info", "credential created"],
  "credential.revoked": ["info", "credential revoked"],
  "store.quarantined": null,
};

/** `node` as the change leaves it; `null` = it is no node's event, or the node was removed. */
export function wordsOf({ kind, actor, message }: EventDraft, node: Node | null): Words | null {
  const words = WORDS[kind];
  if (kind === "node.drained" && message !== EMPTIED) return ["warn", "drain incomplete"];
  // One that has begun is changed when work is first seen there, or when its purpose is another.
  const drain = kind === "node.draining" && node?.phase.kind === "draining" ? node.phase : null;
  if (drain?.sawWork === true) return ["info", "drain in progress"];
  if (kind === "kube.uncordoned" && actor !== "navarch") return ["warn", "Node uncordoned by hand"];
  if (kind === "kube.cordoned" && actor !== "navarch") return ["info", "Node cordoned by hand"];
  // Navarch itself removes the object of a machine that is gone.
  if (kind === "kube.lost" && (node === null || node.phase.kind === "gone")) {
    return ["info", "Node object removed"];
  }
  return words;
}
