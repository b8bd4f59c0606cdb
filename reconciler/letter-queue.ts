/**
 * Which reports one activation folds. Its work is bounded by what they say and not by their number,
 * because nothing else runs meanwhile; and nodes take turns, so that the evidence of one does not
 * wait behind another's flood. Pure.
 */
import type { NodeId } from "../schema/id.ts";
import type { StoredLetter } from "./store/store.ts";

/** Letters of one activation, and findings and gaps in them. */
export type LetterBounds = { letters: number; news: number };

const newsOf = ({ letter }: StoredLetter): number => letter.findings.length + letter.gaps.length;

/**
 * Takes letters out of `queue`, at least one if there is any: first the oldest of each node, then
 * the next ones. A node's letters stay in order.
 */
export function takeFairly(queue: StoredLetter[], bounds: LetterBounds): StoredLetter[] {
  const news = queue.reduce((sum, one) => sum + newsOf(one), 0);
  if (queue.length <= bounds.letters && news <= bounds.news) return queue.splice(0);
  const turns = new Map<NodeId, number>();
  const ranked = queue.map((stored, place) => {
    const turn = turns.get(stored.letter.node) ?? 0;
    turns.set(stored.letter.node, turn + 1);
    return { stored, place, turn };
  });
  ranked.sort((a, b) => a.turn - b.turn || a.place - b.place);
  const places = new Set<number>();
  let sum = 0;
  for (const { stored, place } of ranked) {
    const more = sum + newsOf(stored);
    if (places.size >= bounds.letters || (places.size > 0 && more > bounds.news)) break;
    places.add(place);
    sum = more;
  }
  const taken = queue.filter((_, place) => places.has(place));
  const left = queue.filter((_, place) => !places.has(place));
  queue.splice(0, queue.length, ...left);
  return taken;
}
