/**
 * Which line of the log an event becomes: its level and its words. Pure. `info` is the ordinary
 * course, `warn` what a person should look at, `error` what waits for a person.
 */
import { type EventDraft, EVENTS } from "../../schema/event.ts";
import type { Node } from "../../schema/node.ts";
import { EMPTIED } from "../core/decide/leave.ts";

export type Level = "debug" | "info" | "warn" | "error";
type Words = readonly [Level, string];

/** `node` as the change leaves it; `null` = it is no node's event, or the node was removed. */
export function wordsOf({ kind, actor, message }: EventDraft, node: Node | null): Words | null {
  const words: Words | null = EVENTS[kind];
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
