/**
 * Machines of one slot that fail one after another soon after their purchase. The cause is probably
 * the work, a forged report or the place, which no purchase repairs. So the first few are replaced
 * at once, further ones with growing pauses. Pure.
 */
import type { Node } from "../../../schema/node.ts";
import type { Fleet } from "../fleet.ts";
import { backoffMs } from "../turn/backoff.ts";

/** The fault of an older machine is its own. */
const SHORT_LIFE_MS = 2 * 3_600_000;
/** Fewer in a row may be chance, or a cloud that returns the same machine. */
const LIVES_MAX = 4;
const REST_FIRST_MS = 10 * 60_000;
const REST_MAX_MS = 4 * 3_600_000;
/** A longer row has the same pause. */
const LOOKED_AT_MAX = 16;

/** When the repair began that is open, or that ended with the node's replacement. */
function failedAt({ session, lastSession }: Node): number | null {
  if (session !== null) return session.openedAt;
  return lastSession?.how === "replaced" ? lastSession.openedAt : null;
}

/** Consecutive machines of the slot that failed early, this one last. */
function shortLives(node: Node, nodes: Fleet["nodes"]): number {
  let lives = 0;
  for (let one: Node | undefined = node; one !== undefined && lives < LOOKED_AT_MAX; lives++) {
    const at = failedAt(one);
    if (at === null || at - one.createdAt >= SHORT_LIFE_MS) break;
    one = one.replaces === null ? undefined : nodes.get(one.replaces);
  }
  return lives;
}

/** Until when the node's replacement waits; `null` = it does not. */
export function relapseOf(
  node: Node,
  nodes: Fleet["nodes"],
): { lives: number; until: number } | null {
  const lives = shortLives(node, nodes);
  const at = failedAt(node);
  if (lives < LIVES_MAX || at === null) return null;
  return { lives, until: at + backoffMs(lives - LIVES_MAX + 1, REST_FIRST_MS, REST_MAX_MS) };
}
