/**
 * Stories that once failed, and must not again; and the bugs that are known and still open, with
 * what they look like, so that a drawn seed does not fail for a reason that is written down.
 */
import type { SinkKind } from "./swarm/shape.ts";

export type Case = {
  seed: number;
  nodes: number;
  days: number;
  troubles: number;
  sinks?: SinkKind;
  why: string;
};

export const CORPUS: readonly Case[] = [
  { seed: 5, nodes: 8, days: 1, troubles: 24, why: "a person ordered a replacement away" },
  { seed: 6, nodes: 8, days: 1.5, troubles: 24, why: "a cordon whose answer was lost, refused" },
  { seed: 24, nodes: 8, days: 2, troubles: 24, why: "a degraded node wrote at every heartbeat" },
  { seed: 48, nodes: 8, days: 1.3, troubles: 24, why: "a surplus was adopted while it worked" },
  { seed: 56, nodes: 8, days: 0.5, troubles: 24, why: "a lagging list, and a surplus of it" },
  { seed: 500_004, nodes: 10, days: 1, troubles: 24, why: "a change-over with its old node left" },
  { seed: 500_028, nodes: 10, days: 1, troubles: 24, why: "a silent node came back with a fault" },
  { seed: 700_005, nodes: 10, days: 1, troubles: 24, why: "an order that outlasts the end" },
  { seed: 700_081, nodes: 10, days: 1, troubles: 24, why: "a cordon refused, the database lost" },
  { seed: 700_085, nodes: 10, days: 1, troubles: 24, why: "died as its commit arrived" },
  { seed: 700_106, nodes: 10, days: 1, troubles: 24, why: "nine answers lost or refused" },
  { seed: 1_537_477_815, nodes: 10, days: 1, troubles: 24, why: "a person's cordon, then ours" },
  { seed: 60, nodes: 8, days: 0.5, troubles: 24, why: "an uncordon whose answer was lost" },
];

export type Known = { id: string; pattern: RegExp; why: string };

export const KNOWN: readonly Known[] = [];

export function isKnown({ id, message }: { id: string; message: string }): boolean {
  return KNOWN.some((one) => one.id === id && one.pattern.test(message));
}
