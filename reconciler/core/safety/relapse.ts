/**
 * Machines of one slot that fail one after the other soon after they were bought: what ails them is
 * not the machine, so another one helps no more than the last. The work that runs there, what
 * somebody makes the machine say, or what the place has to sell may be the cause; none of them ends
 * by buying. The first few are replaced at once, further ones ever more slowly. Pure.
 */
import type { Node } from "../../../schema/node.ts";
import type { Fleet } from "../fleet.ts";

/** A machine that was bought longer ago than this has served, and its fault is its own. */
const SHORT_LIFE_MS = 2 * 3_600_000;
/** So many in a row are bad luck, or a cloud that gives the same machine back. */
const LIVES_MAX = 4;
const REST_FIRST_MS = 10 * 60_000;
const REST_MAX_MS = 4 * 3_600_000;
/** A longer row rests no longer. */
const LOOKED_AT_MAX = 16;

/** When the open repair of the node began, or the one that it was replaced for. */
function failedAt({ session, lastSession }: Node): number | null {
  if (session !== null) return session.openedAt;
  return lastSession?.how === "replaced" ? lastSession.openedAt : null;
}

/** How many machines of the slot, this one last, failed so soon. */
function shortLives(node: Node, nodes: Fleet["nodes"]): number {
  let lives = 0;
  for (let one: Node | undefined = node; one !== undefined && lives < LOOKED_AT_MAX; lives++) {
    const at = failedAt(one);
    if (at === null || at - one.createdAt >= SHORT_LIFE_MS) break;
    one = one.replaces === null ? undefined : nodes.get(one.replaces);
  }
  return lives;
}

/** Until when the node's replacement waits for that reason; `null` = it does not. */
export function relapseOf(
  node: Node,
  nodes: Fleet["nodes"],
): { lives: number; until: number } | null {
  const lives = shortLives(node, nodes);
  const at = failedAt(node);
  if (lives < LIVES_MAX || at === null) return null;
  return { lives, until: at + Math.min(REST_MAX_MS, REST_FIRST_MS * 2 ** (lives - LIVES_MAX)) };
}
