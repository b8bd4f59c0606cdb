/** The stored state of a pool that the configuration names for the first time. */
import type { PoolName } from "../../../schema/id.ts";
import type { PoolState } from "../../../schema/node.ts";

export function newPoolState(name: PoolName, desired: number, at: number): PoolState {
  return {
    name,
    desired,
    desiredBy: "config",
    desiredAt: at,
    nextGen: 1,
    hold: null,
    failures: 0,
    guards: {},
    asked: [],
    lastScaleAt: null,
    demand: null,
    offers: {},
  };
}
