/**
 * What the parts of the proof tell each other: which attack, on whom, how long, and what came of
 * it. Pure.
 */
import * as v from "valibot";
import { amount, count } from "../../schema/number.ts";

/**
 * Each with one machine's means and at most one node's credential.
 *
 * - `guessed-bodies`: posts of 1 MiB under a guessed token that never end
 * - `slow-bodies`: reports of one node that come a byte at a time
 * - `sockets`: one node on hundreds of WebSockets with reports of 200 KB that wait for no answer
 * - `rows`: one node's findings as fast as they are taken, over WebSockets and POST
 * - `series`: the same with GPUs and codes that do not exist
 */
export const ATTACKS = ["guessed-bodies", "slow-bodies", "sockets", "rows", "series"] as const;
export type Attack = (typeof ATTACKS)[number];

export const AttackOrder = v.object({
  attack: v.picklist(ATTACKS),
  url: v.string(),
  /** The credential of the node that attacks, and its name. */
  token: v.string(),
  node: v.string(),
  /** Connections at once. */
  connections: count,
  forMs: count,
});
export type AttackOrder = v.InferOutput<typeof AttackOrder>;

/** What the attacker did and was answered. */
export const AttackResult = v.object({
  connects: count,
  closed: count,
  mebibytes: amount,
  /** Answers by status or error code. */
  answers: v.record(v.string(), count),
});
export type AttackResult = v.InferOutput<typeof AttackResult>;
