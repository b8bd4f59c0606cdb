/** Records the end of one set-up attempt in its node. Pure. The plan decides what follows. */
import type { Node } from "../../../schema/node.ts";
import type { Operation } from "../../../schema/operation.ts";
import { backoffMs } from "../turn/backoff.ts";
import type { Outcome } from "./outcome.ts";

/** Before the next attempt: a package mirror or a boot in progress needs some seconds. */
const REST_MS = 10_000;
export const REST_MAX_MS = 5 * 60_000;
/** Before an attempt that could not begin is tried again. */
const UNSPENT_REST_MS = 30_000;

type Payload = Extract<Operation["payload"], { kind: "bootstrap" }>;
type Ended = Extract<Outcome, { kind: "done" | "refused" }>;

/** The pause applies to the set-up and not to the node, so an order to terminate does not wait. */
export function foldBootstrap(node: Node, payload: Payload, outcome: Ended, now: number): Node {
  const { attempt } = payload;
  const hostKey = outcome.hostKey ?? node.bootstrap?.hostKey ?? null;
  if (outcome.kind === "done") {
    const bootstrap = { attempts: attempt, doneAt: now, error: null, final: false, hostKey };
    return { ...node, bootstrap };
  }
  const error = outcome.message;
  if (outcome.unspent === true) {
    const attempts = node.bootstrap?.attempts ?? attempt - 1;
    const notBefore = now + UNSPENT_REST_MS;
    return {
      ...node,
      bootstrap: { attempts, doneAt: null, error, final: false, hostKey, notBefore },
    };
  }
  const final = outcome.final === true;
  const notBefore = now + backoffMs(attempt, REST_MS, REST_MAX_MS);
  return {
    ...node,
    bootstrap: { attempts: attempt, doneAt: null, error, final, hostKey, notBefore },
  };
}
