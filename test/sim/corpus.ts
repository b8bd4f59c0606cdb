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
  planes?: 1 | 2;
  /** GPU faults a day; without it, as many as any story of its kind. */
  xids?: number;
  /** Edits of the file's providers a day. */
  edits?: number;
  /** Lost and restored databases a day, and old copies of it. */
  restores?: number;
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
  {
    ...{ seed: 6_515, nodes: 4, days: 0.05, troubles: 200, xids: 80, sinks: "slurm" },
    why: "a surplus that had the slot's NodeName ended under a job",
  },
  {
    ...{ seed: 6_552, nodes: 4, days: 0.05, troubles: 200, xids: 80, sinks: "slurm" },
    why: "drained, rebooted by a person, and ended under the job that came then",
  },
  {
    ...{ seed: 21, nodes: 6, days: 0.25, troubles: 60, sinks: "slurm", planes: 2 },
    why: "released in Slurm although its cloud showed it as ending",
  },
  {
    ...{ seed: 3_034, nodes: 6, days: 0.2, troubles: 100, xids: 30, sinks: "slurm" },
    why: "the replacement of a surge was lost while the old node drained",
  },
  {
    ...{ seed: 885_058_451, nodes: 6, days: 0.25, troubles: 60, sinks: "slurm" },
    why: "an unanswered end was repeated under a person's reservation",
  },
  {
    ...{ seed: 5_121, nodes: 6, days: 0.1, troubles: 100, xids: 30, edits: 150 },
    why: "a surge's two nodes waited for each other",
  },
  {
    ...{ seed: 5_238, nodes: 6, days: 0.1, troubles: 100, xids: 30, edits: 150 },
    why: "a repair began beside a replacement that a person had ordered",
  },
  {
    ...{ seed: 5_052, nodes: 6, days: 0.1, troubles: 100, xids: 30, edits: 150 },
    why: "a machine was verified by the agent of the one before it",
  },
  {
    ...{ seed: 4_052, nodes: 6, days: 0.2, troubles: 100, xids: 30, sinks: "slurm" },
    why: "a machine that joined a dark Slurm was ended unseen",
  },
  {
    ...{ seed: 4_060, nodes: 6, days: 0.2, troubles: 100, xids: 30, sinks: "slurm" },
    why: "a repair began beside a loss that was known",
  },
  {
    ...{ seed: 4_088, nodes: 6, days: 0.2, troubles: 100, xids: 30, sinks: "slurm" },
    why: "a person resumed a node whose end was not answered",
  },
  {
    ...{ seed: 4_096, nodes: 6, days: 0.2, troubles: 100, xids: 30, sinks: "slurm" },
    why: "a late list's ghost had a NodeName, which stayed drained",
  },
  {
    ...{ seed: 1, nodes: 6, days: 0.12, troubles: 40, xids: 40, edits: 40, restores: 10 },
    why: "a fleet was bought again by an empty list after a restore",
  },
  {
    ...{ seed: 9_067, nodes: 4, days: 0.05, troubles: 200, xids: 80, sinks: "slurm" },
    why: "a purchase's second machine was ended under a job of their NodeName",
  },
];

export type Known = { id: string; pattern: RegExp; why: string };

export const KNOWN: readonly Known[] = [];

export function isKnown({ id, message }: { id: string; message: string }): boolean {
  return KNOWN.some((one) => one.id === id && one.pattern.test(message));
}
