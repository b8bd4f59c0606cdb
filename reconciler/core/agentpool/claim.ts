/**
 * Claims of slots: which end, and which take a free slot. A claim is placed in a committed row by
 * the leader alone, on a worker that is not leaving, so it never meets a removal.
 */
import type { Draft } from "./draft.ts";
import type { Member } from "./member.ts";

/** Ends what its time or its worker has left; `isEnding`: the pool takes no more claims. */
export function endClaims(draft: Draft, isEnding: boolean): void {
  for (const claim of draft.claims) {
    const { state, worker, expiresAt } = claim;
    if (state === "running" && (worker === null || draft.worker(worker) === null)) {
      draft.end(claim, "lost");
    } else if (expiresAt !== null && expiresAt <= draft.now) draft.end(claim, "expired");
    else if (state === "queued" && isEnding) draft.end(claim, "cancelled");
    else if (expiresAt !== null) draft.recall.dueIn(expiresAt - draft.now);
  }
}

/** The fullest worker first, so that the emptiest can leave; then the newest template. */
export function placeClaims(draft: Draft, members: readonly Member[]): void {
  const { queued } = draft;
  if (queued.length === 0) return;
  const open = members.filter(({ free }) => free > 0);
  const taken = slotsInUse(draft);
  const queue = new Fullest(open);
  for (const claim of queued) {
    const member = queue.take();
    if (member === undefined) return;
    const slots = taken.get(member.worker.name) ?? new Set();
    const slot = lowestFree(slots);
    taken.set(member.worker.name, slots.add(slot));
    draft.place(claim, member.worker, slot);
  }
}

function slotsInUse(draft: Draft): Map<string, Set<number>> {
  const taken = new Map<string, Set<number>>();
  for (const { worker, slot } of draft.claims) {
    if (worker === null || slot === null) continue;
    taken.set(worker, (taken.get(worker) ?? new Set()).add(slot));
  }
  return taken;
}

function lowestFree(taken: ReadonlySet<number>): number {
  let slot = 0;
  while (taken.has(slot)) slot += 1;
  return slot;
}

/** Gives the fullest member that has a free slot; a member stays fullest until it is full. */
class Fullest {
  private readonly open: { member: Member; left: number }[];

  constructor(members: readonly Member[]) {
    this.open = members
      .toSorted(
        (a, b) => b.used - a.used || b.worker.generation - a.worker.generation || byAge(a, b),
      )
      .map((member) => ({ member, left: member.free }))
      .toReversed();
  }

  take(): Member | undefined {
    const last = this.open.at(-1);
    if (last === undefined) return undefined;
    last.left -= 1;
    if (last.left === 0) this.open.pop();
    return last.member;
  }
}

/** The oldest first. */
export const byAge = (a: Member, b: Member): number =>
  a.worker.at - b.worker.at || (a.worker.name < b.worker.name ? -1 : 1);
