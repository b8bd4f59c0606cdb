import { expect, test } from "bun:test";
import type { Node } from "../../../schema/node.ts";
import { drainingOf, NOW, OURS } from "../../../test/world/ask.ts";
import { fleetOf, nodeOf, slurmOf } from "../../../test/world/part.ts";
import { attendedOf } from "./attend.ts";

const DAY_MS = 86_400_000;
const OWN = { owner: "own", drain: true, markedAt: 5 } as const;
const namesOf = (over: Partial<Node>, now = NOW) => [
  ...attendedOf(fleetOf([nodeOf("n0", over)]), now),
];

test("S30: a drain is awaited until its end, however long its job runs", () => {
  const draining = { phase: drainingOf(), cordon: OURS, slurm: slurmOf(OWN) };
  expect(namesOf(draining)).toEqual(["n0"]);
  expect(namesOf(draining, NOW + 30 * DAY_MS)).toEqual(["n0"]);
  expect(namesOf({ ...draining, phase: drainingOf({ drainedAt: NOW }) })).toEqual([]);
  expect(namesOf({ ...draining, slurm: slurmOf({ ...OWN, absentSince: NOW }) })).toEqual([]);
});

test("S29: a mark and a release are awaited for ten minutes", () => {
  const since = NOW;
  const serving = { phase: { kind: "serving", since }, slurm: slurmOf(OWN) } as const;
  expect(namesOf(serving, NOW + 599_999)).toEqual(["n0"]);
  expect(namesOf(serving, NOW + 600_000)).toEqual([]);
  const marked = { ...serving, cordon: OURS, slurm: slurmOf({}) };
  expect(namesOf(marked, NOW + 599_999)).toEqual(["n0"]);
  expect(namesOf({ ...marked, slurm: slurmOf(OWN) })).toEqual([]);
});
