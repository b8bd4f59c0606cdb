/**
 * A provider's list that shows less than half of what is known there
 * (docs/reference/safety.md#blindness). It is not believed at once: a credential of another account
 * lists nothing, and believed it would buy the fleet again. Pure.
 */
import { saySafety } from "../say/safety.ts";

/** A smaller share of the known instances is implausible. */
const COLLAPSE_SHARE = 0.5;
/** After this time the list is trusted: the instances were deleted. */
const BELIEVED_MS = 10 * 60_000;

/** Since when the lists have been too small, and the newest of them. */
export type Collapse = { at: number; seen: number; known: number };

export const isCollapsed = ({ seen, known }: Pick<Collapse, "seen" | "known">): boolean =>
  seen < known * COLLAPSE_SHARE;

export const isBelieved = ({ at }: Pick<Collapse, "at">, now: number): boolean =>
  now - at >= BELIEVED_MS;

/** What is seen, until when it lasts, and what a person can do before. */
export function sayCollapse(provider: string, { at, seen, known }: Collapse): string {
  return saySafety({ code: "collapse", provider, seen, known, until: at + BELIEVED_MS });
}
