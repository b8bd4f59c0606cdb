/**
 * Webhook deliveries of events. Pure: rows of the outbox, written in the event's transaction, so a
 * notification is neither lost nor blocks the change.
 */
import type { NotifierConfig } from "../../schema/config.ts";
import type { EventDraft } from "../../schema/event.ts";
import type { Change } from "./store.ts";

export type HookKind = "cordon" | "uncordon" | "drain";

/** The URL of a kind, or `null` if it is not sent. */
export function hookUrl(notifier: NotifierConfig, kind: HookKind): string | null {
  if (notifier.type === "noop") return null;
  if (kind === "cordon") return notifier.cordonUrl;
  return kind === "uncordon" ? notifier.uncordonUrl : notifier.drainUrl;
}

function kindOf(event: EventDraft): HookKind | null {
  if (event.kind === "node.cordoned") return "cordon";
  if (event.kind === "node.uncordoned") return "uncordon";
  return event.kind === "node.draining" ? "drain" : null;
}

export function deliveriesOf(events: EventDraft[], notifier: NotifierConfig): Change["deliveries"] {
  const out: Change["deliveries"] = [];
  for (const event of events) {
    const kind = kindOf(event);
    if (kind === null || event.node === null || hookUrl(notifier, kind) === null) continue;
    const body = {
      event: kind,
      node_id: event.node,
      reason: event.message,
      timestamp: new Date(event.at).toISOString(),
      pool: event.pool,
      session_id: event.session,
      actor: event.actor,
    };
    out.push({ kind, node: event.node, body: JSON.stringify(body), notBefore: event.at });
  }
  return out;
}
