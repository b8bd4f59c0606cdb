/** What a person has to look at: what stops everything, then nodes, then pools. Pure. */
import type { PoolConfig } from "../../../schema/config.ts";
import type { PoolState } from "../../../schema/node.ts";
import { factsOf } from "../../../schema/safety.ts";
import type { ListedNode } from "./fleet.ts";
import type { StatusView } from "./pool.ts";
import { sayFreeze, sayHold } from "./held-back.ts";
import { freezeOf, type SafetySource, viewBreaker } from "./safety.ts";
import { sayWait } from "../../core/say/wait.ts";

export type Need = {
  kind: "fleet" | "pool" | "node";
  /** Of the node or pool; of the fleet, what it is about. */
  name: string;
  /** False: a person has chosen it, and has to remember it. */
  isBroken: boolean;
  why: string;
};

type From = {
  safety: SafetySource;
  pools: readonly { pool: PoolConfig; state: PoolState | undefined; status: StatusView }[];
  urgent: readonly ListedNode[];
};

export function viewNeeds({ safety, pools, urgent }: From): Need[] {
  const isFrozen = freezeOf(safety.fleet.facts, safety.now) !== null;
  const ofPools = pools.flatMap((one) => needsOfPool(one, isFrozen));
  const all = [...needsOfFleet(safety), ...urgent.map(needOfNode), ...ofPools];
  return [...all.filter(({ isBroken }) => isBroken), ...all.filter(({ isBroken }) => !isBroken)];
}

function needsOfFleet({ broken, sight, fleet, now }: SafetySource): Need[] {
  const about = { kind: "fleet", isBroken: true } as const;
  const needs: Need[] = [];
  if (broken !== null) needs.push({ ...about, name: "Plan not executed", why: broken });
  const blind = sight?.blind ?? [];
  if (blind.length > 0) needs.push({ ...about, name: "Blind", why: blind.join("; ") });
  const frozen = freezeOf(fleet.facts, now);
  if (frozen !== null) {
    needs.push({ kind: "fleet", isBroken: false, name: "Fleet frozen", why: sayFreeze(frozen) });
  }
  for (const one of factsOf(fleet.facts, "breaker")) {
    const breaker = viewBreaker(one);
    const name = `Breaker of ${breaker.scope}`;
    needs.push({ kind: "fleet", isBroken: false, name, why: `${breaker.state}: ${breaker.why}` });
  }
  return needs;
}

function needOfNode({ node, wait }: ListedNode): Need {
  const { phase, health, id } = node;
  const evidence = health.held[0]?.judgement.because ?? null;
  const waits = [evidence, wait && sayWait(wait.why)].filter(Boolean).join("; ");
  const why = phase.kind === "held" ? phase.why : waits;
  return { kind: "node", name: id, isBroken: true, why };
}

function needsOfPool(
  { pool: { name }, state, status }: From["pools"][number],
  isFrozen: boolean,
): Need[] {
  const needs: Need[] = [];
  const about = { kind: "pool", name } as const;
  const unready = state?.unready ?? null;
  // A hold and a freeze have rows of their own.
  const bar = isFrozen || status.hold !== null ? null : status.cannot_scale_up;
  if (unready !== null) {
    needs.push({ ...about, isBroken: true, why: `cannot be set up: ${unready.why}` });
  } else if (bar !== null) needs.push({ ...about, isBroken: true, why: `cannot grow: ${bar}` });
  const { hold } = status;
  if (hold !== null) {
    needs.push({ ...about, isBroken: false, why: sayHold(hold) });
  }
  return needs;
}
