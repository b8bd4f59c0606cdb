/**
 * Selects the reports that one transaction writes and one activation folds. Their content bounds
 * the work, because nothing else runs meanwhile. Nodes take turns, so that one node's flood does
 * not delay another's evidence. Pure.
 */
import type { NodeId } from "../../schema/id.ts";
import type { InboxEntry } from "../core/store.ts";

/** Limits: inbox entries, and findings and gaps in them. */
export type InboxBounds = { entries: number; news: number };

/** Reports that one activation folds, and findings in them. */
const ENTRIES_MAX = 200;
/**
 * Conditions that one activation evaluates, unless one report alone has more: about 10 ms. A report
 * of 200 findings under 500 rules takes 90 ms (measured, two cores).
 */
const CONDITIONS_MAX = 12_000;

/** The bounds of one activation under a policy with this number of rules. */
export function boundsFor(rules: number): InboxBounds {
  const news = Math.floor(CONDITIONS_MAX / Math.max(1, rules));
  return { entries: ENTRIES_MAX, news: Math.min(ENTRIES_MAX, Math.max(1, news)) };
}

type Queued = { entry: InboxEntry };

const newsOf = ({ entry }: Queued): number => entry.findings.length + entry.gaps.length;

/** Removes entries from `queue`, at least one: the oldest of each node first. Nodes keep order. */
export function takeFairly<T extends Queued>(queue: T[], bounds: InboxBounds): T[] {
  const news = queue.reduce((sum, one) => sum + newsOf(one), 0);
  if (queue.length <= bounds.entries && news <= bounds.news) return queue.splice(0);
  const turns = new Map<NodeId, number>();
  const ranked: { queued: T; place: number }[][] = [];
  for (const [place, queued] of queue.entries()) {
    const turn = turns.get(queued.entry.node) ?? 0;
    turns.set(queued.entry.node, turn + 1);
    (ranked[turn] ??= []).push({ queued, place });
  }
  const places = new Set<number>();
  let sum = 0;
  for (const { queued, place } of ranked.flat()) {
    const more = sum + newsOf(queued);
    if (places.size >= bounds.entries || (places.size > 0 && more > bounds.news)) break;
    places.add(place);
    sum = more;
  }
  const taken = queue.filter((_, place) => places.has(place));
  const left = queue.filter((_, place) => !places.has(place));
  queue.splice(0, queue.length, ...left);
  return taken;
}
