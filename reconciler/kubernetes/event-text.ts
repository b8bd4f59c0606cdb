/**
 * What of our own record is worth an Event on the Node object, in the words of Kubernetes: pure.
 */
import { EMPTIED } from "../core/decide/leave.ts";
import type { EventDraft, EventKind } from "../../schema/event.ts";

export type EventText = {
  reason: string;
  action: string;
  note: string;
  type: "Normal" | "Warning";
};

/** The reason says what was seen or done; the action, which part of the product it belongs to. */
const REASON: Partial<Record<EventKind, Omit<EventText, "note">>> = {
  "node.unhealthy": { reason: "GPUUnhealthy", action: "Watch", type: "Warning" },
  "node.suspect": { reason: "GPUSuspect", action: "Watch", type: "Warning" },
  "node.silent": { reason: "AgentSilent", action: "Watch", type: "Warning" },
  "node.cordoned": { reason: "Cordoned", action: "Isolate", type: "Normal" },
  "node.uncordoned": { reason: "Uncordoned", action: "Isolate", type: "Normal" },
  "node.draining": { reason: "Draining", action: "Drain", type: "Normal" },
  "node.drained": { reason: "Drained", action: "Drain", type: "Normal" },
  "node.repairing": { reason: "Repairing", action: "Repair", type: "Normal" },
  "node.terminating": { reason: "Terminating", action: "Replace", type: "Normal" },
  "node.recovered": { reason: "Recovered", action: "Watch", type: "Normal" },
  "node.held": { reason: "Held", action: "Hold", type: "Warning" },
  "kube.refused": { reason: "CordonRefused", action: "Isolate", type: "Warning" },
  "kube.hold": { reason: "HoldSeen", action: "Hold", type: "Normal" },
  "kube.hold_unclear": { reason: "HoldUnclear", action: "Hold", type: "Warning" },
  "kube.uncordoned_broken": {
    reason: "BrokenNodeUncordoned",
    action: "Isolate",
    type: "Warning",
  },
  "kube.uncordon_loop": { reason: "UncordonLoop", action: "Isolate", type: "Warning" },
  "kube.uncordoned": { reason: "UncordonSeen", action: "Isolate", type: "Normal" },
};

/** `null` = of no interest to those who look at the object. */
export function eventOf({ kind, message }: EventDraft): EventText | null {
  // "Drained" is the word for a node that is empty; work that is cut off is a warning.
  if (kind === "node.drained" && message !== EMPTIED) {
    return { reason: "DrainIncomplete", action: "Drain", type: "Warning", note: message };
  }
  const known = REASON[kind];
  return known === undefined ? null : { ...known, note: message };
}
