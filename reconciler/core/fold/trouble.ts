/**
 * What a cloud says of an instance beside its state: why an accepted purchase never ran, and an
 * interruption that it announces. Pure.
 */
import type { EventDraft } from "../../../schema/event.ts";
import type { InstanceFact, Node } from "../../../schema/node.ts";
import { nodeEvent } from "../event-draft.ts";
import type { Instance } from "../provider.ts";
import { isAnnounced } from "./notice.ts";
import { type Announced, sayNotice } from "../say/cause.ts";

export type FailedPurchase = {
  instance: InstanceFact;
  offer: Node["offer"];
  failure: NonNullable<InstanceFact["failure"]>;
};

const MESSAGE_MAX = 500;
const cut = (message: string): string => message.slice(0, MESSAGE_MAX);

/** A failure that was once listed stays known. */
export function troubleOf({ failure, notice }: Instance): Pick<InstanceFact, "failure" | "notice"> {
  return {
    ...(failure === null ? {} : { failure: { ...failure, message: cut(failure.message) } }),
    ...(notice === null ? {} : { notice: { ...notice, message: cut(notice.message) } }),
  };
}

/** What `next` says and the node's record did not. */
export function newsOf(
  node: Node,
  next: InstanceFact,
  now: number,
): { events: EventDraft[]; failed: FailedPurchase | null } {
  const events: EventDraft[] = [];
  const { failure, notice } = next;
  const before = node.instance;
  const isFailed = failure !== undefined && before?.failure === undefined && isArriving(node);
  if (isFailed) {
    const what = `instance ${next.id} never ran (${failure.class}): ${failure.message}`;
    events.push(nodeEvent(node, now, "provider.error", what));
  }
  const isNew = JSON.stringify(before?.notice) !== JSON.stringify(notice);
  const wasTold = node.agent?.notice !== undefined;
  const isSaid = wasTold && !isAnnounced(node, { ...node, instance: next }, now);
  if (notice !== undefined && isNew && !isSaid) {
    events.push(
      nodeEvent(node, now, "instance.notice", sayNotice(announced(next.provider, notice))),
    );
  }
  return { events, failed: isFailed ? { instance: next, offer: node.offer, failure } : null };
}

/** The announcement in words for people. */
export function announced(
  provider: string | null | undefined,
  { kind, atMs, message }: NonNullable<InstanceFact["notice"]>,
): Announced {
  return { provider: provider ?? null, kind, atMs, said: message };
}

/** A failure of a machine that has run is no failed purchase. */
function isArriving({ phase, agent }: Node): boolean {
  return (phase.kind === "booting" || phase.kind === "terminating") && agent === null;
}
