/**
 * How the cloud answers while crashes are enumerated. Each case affects the first call that can
 * have it, or all of them; a crash does not undo it.
 */
import type { Faults } from "../../../reconciler/provider/fake/fault.ts";
import type { Terms } from "../../../reconciler/provider/fake/world.ts";

export type Reply = {
  name: string;
  faults: Faults;
  terms: Partial<Terms>;
  /**
   * Requests that take effect later than a tag-only provider's settle time: each may leave one
   * surplus instance, which is then found and ended (invariant I2).
   */
  lateAsks: number;
};

/** A tag-only provider's settle time in these stories. */
export const SETTLE_MS = 10_000;

const plain = { terms: {}, lateAsks: 0 };

export const REPLIES: readonly Reply[] = [
  { ...plain, name: "ok", faults: {} },
  /** Accepted at once, answered after the caller has given up (`act/run.ts`: 60 s). */
  { ...plain, name: "timed-out", faults: { createDelayMs: 61_000 } },
  { ...plain, name: "lost-reply", faults: { loseReply: { create: { times: 1 } } } },
  { ...plain, name: "lost-ask", faults: { loseAsk: { create: { times: 1 } } } },
  {
    ...plain,
    name: "late",
    faults: { lateLandingMs: SETTLE_MS / 2, lateLanding: { times: 1 } },
  },
  {
    ...plain,
    name: "too-late",
    faults: { lateLandingMs: SETTLE_MS * 2.5, lateLanding: { times: 1 } },
    lateAsks: 1,
  },
  { ...plain, name: "stock-out", faults: { refuse: { class: "capacity", times: 1 } } },
  { ...plain, name: "list-lag", faults: { listLagMs: 3_000 } },
  {
    ...plain,
    name: "lost-end",
    faults: { loseReply: { terminate: { times: 1 } }, terminateFails: 1 },
  },
];

export function replyOf(name: string): Reply {
  const found = REPLIES.find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new Error(`no reply ${name}: ${REPLIES.map((one) => one.name).join(", ")}`);
}
