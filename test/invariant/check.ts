/**
 * Runs every invariant of docs/reference/invariants.md, in its order, after each step of a
 * simulation. A checker that throws is a bug of the checker; a violation is a bug of the product.
 */
import type { Config } from "../../schema/config.ts";
import { audit } from "./audit.ts";
import { stillWhileBlind } from "./blind.ts";
import { type Budget, budgets, configuredBudgets } from "./budget.ts";
import { type Ceiling, configuredCeilings, noCapacityThrownAway, spend } from "./capacity.ts";
import { endedForAReason } from "./edit.ts";
import { closedIsClosed, handsOff, ownCordonOnly } from "./human.ts";
import { committedIntent, frozenAsk } from "./intent.ts";
import { atMostOnce, nodeLast } from "./kube.ts";
import type { Checker, Observation, Violation } from "../world/observation.ts";
import { nothingUnknown, onePerSlot } from "./slot.ts";
import {
  cordonAsSaid,
  everyNodeExplained,
  oneOperation,
  onlyForward,
  refusalTells,
} from "./support.ts";

export type EventCount = { count: number; first: number; last: number };

/** What of the invariants is given from outside. */
export type Terms = {
  /** The audit chain as the database keeps it. */
  events(): EventCount | null;
  budgetsOf?(config: Config): Budget[];
  ceilingsOf?(seen: Observation): Ceiling[];
};

export function openCheckers(terms: Terms): Checker[] {
  return [
    committedIntent(),
    onePerSlot(),
    nothingUnknown(),
    noCapacityThrownAway(),
    budgets(terms.budgetsOf ?? configuredBudgets),
    spend(terms.ceilingsOf ?? configuredCeilings),
    ownCordonOnly(),
    closedIsClosed(),
    atMostOnce(),
    nodeLast(),
    frozenAsk(),
    stillWhileBlind(),
    handsOff(),
    audit(() => terms.events()),
    endedForAReason(),
    oneOperation(),
    onlyForward(),
    refusalTells(),
    everyNodeExplained(),
    cordonAsSaid(),
  ];
}

/** Everything that this observation breaks, of what is looked at at this moment. */
export function checkInvariants(
  checkers: readonly Checker[],
  seen: Observation,
  moment: "commit" | "step",
): Violation[] {
  const out: Violation[] = [];
  for (const checker of checkers) {
    if ((checker.atCommit === true) === (moment === "commit")) out.push(...checker.look(seen));
  }
  return out;
}
