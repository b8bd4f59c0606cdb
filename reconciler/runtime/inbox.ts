/**
 * Which reports one transaction writes and one activation folds. The work is bounded by what they
 * say and not by their number, because nothing else runs meanwhile; and nodes take turns, so that
 * the evidence of one does not wait behind another's flood. Pure.
 */
import type { NodeId } from "../../schema/id.ts";
import type { InboxEntry } from "../core/store.ts";

/** Limits of one take: inbox entries, and findings and gaps in them. */
export type InboxBounds = { entries: number; news: number };

/** Reports that one activation folds, and findings in them: bounds its time and its memory. */
const LETTERS_MAX = 200;
/**
 * Conditions that one activation asks, at most, if more than one report is there: some 10 ms, as
 * 200 findings take under the built-in policy. A report is folded as a whole: one of 200 findings
 * under 500 rules takes 90 ms (measured, two cores).
 */
const CONDITIONS_MAX = 12_000;

/** What one activation folds under a policy of so many rules. */
export function boundsFor(rules: number): InboxBounds {
  const news = Math.floor(CONDITIONS_MAX / Math.max(1, rules));
  return { entries: LETTERS_MAX, news: Math.min(LETTERS_MAX, Math.max(1, news)) };
}

type Queued = { entry: InboxEntry };

const newsOf = ({ entry }: Queued): number => entry.findings.length + entry.gaps.length;

/**
 * Takes entries from `queue`, at least one if there is any: first the oldest of each node, then the
 * next ones. A node's entries stay in order.
 */
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
