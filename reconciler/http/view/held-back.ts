/**
 * What holds a pool back, in sentences: equal waits as one, what stops the pool, and how much of
 * each limit around it is used. Pure.
 */
import type { BreakerView, FreezeView, HoldView } from "../../../schema/api.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import type { Wait } from "../../core/plan.ts";
import type { WaitReason } from "../../../schema/plan.ts";
import { openSpendBudget } from "../../core/safety/spend.ts";
import { FLEET } from "../../core/safety/scope.ts";
import {
  breakersAround,
  freezeOf,
  holdOf,
  roomsOf,
  scopesAround,
  suspectsOf,
  type SafetySource,
} from "./safety.ts";
import { sayWait } from "../../core/say/wait.ts";

/** Lines of one explanation; `navarch plan` has them all. */
const LINES_MAX = 50;
/** Nodes named in a line about many. */
const NAMED_MAX = 3;

/** Titles of the waits that are a limit or a veto. The other messages need none. */
const TITLE: Partial<Record<WaitReason, string>> = {
  blind: "blind",
  budget: "no room in a budget",
  breaker: "slowed by a breaker",
  spend: "a spend limit is reached",
  bootstrap_guard: "new nodes do not come up",
  other_fleet: "another fleet has machines of this pool's name",
};

/** One line for each message; with `named`, preceded by the nodes. */
export function sayWaits(waits: readonly Wait[], named: boolean): string[] {
  const told = waits.map(({ reason, why, node }) => ({ reason, message: sayWait(why), node }));
  const groups = Map.groupBy(told, ({ reason, message, node }) => {
    return `${reason}\n${message}\n${node === null}`;
  });
  const lines = [...groups.values()].map((group) => {
    const [first] = group;
    const title = first === undefined ? undefined : TITLE[first.reason];
    const text = `${title === undefined ? "" : `${title}: `}${first?.message ?? ""}`;
    const who = named ? nameOf(group.flatMap((wait) => wait.node ?? [])) : "";
    return `${who}${text}`;
  });
  if (lines.length <= LINES_MAX) return lines;
  return [...lines.slice(0, LINES_MAX), `and ${lines.length - LINES_MAX} more (navarch plan)`];
}

const nameOf = (nodes: readonly string[]): string =>
  nodes.length === 0 ? "" : `${someNames(nodes)}: `;

/** The first of them, and how many more there are. */
export function someNames(nodes: readonly string[]): string {
  const shown = nodes.slice(0, NAMED_MAX).join(", ");
  const more = nodes.length > NAMED_MAX ? ` and ${nodes.length - NAMED_MAX} more` : "";
  return `${shown}${more}`;
}

/** What stops the whole pool or slows it down. */
export function stopsOf(
  pool: PoolConfig,
  state: PoolState | undefined,
  nodes: readonly Node[],
  from: SafetySource,
): string[] {
  const { fleet, sight, now, broken } = from;
  const out: string[] = [];
  const frozen = freezeOf(fleet.facts, now);
  if (frozen !== null) out.push(`the fleet is frozen ${sayFreeze(frozen)}`);
  const hold = holdOf(state, now);
  if (hold !== null) out.push(sayHold(hold));
  if (broken !== null) out.push(`the plan is not executed: ${broken}`);
  for (const why of sight?.blind ?? []) out.push(`blind: ${why}`);
  out.push(...breakersAround(pool.name, nodes, fleet.facts).map(sayBreaker));
  return [...out, ...saySuspects(pool, state, now)];
}

export function sayFreeze({ by, why, until, effect }: FreezeView): string {
  const end = until === null ? "until it is unfrozen" : `until ${until}`;
  return `by ${by} ${end}: ${why}. ${effect}`;
}

export const sayHold = ({ by, why, until }: HoldView): string =>
  `held by ${by} until ${until}: ${why}`;

export const sayBreaker = ({ scope, state, since, why }: BreakerView): string =>
  `breaker of ${scope} is ${state} since ${since}: ${why}`;

/** Places of the pool where new nodes do not come up. */
export function saySuspects(pool: PoolConfig, state: PoolState | undefined, now: number): string[] {
  return suspectsOf(pool, state, now).map(({ place, failures, next_try: next }) => {
    const when = next === null ? "one is tried at a time" : `the next try is at ${next}`;
    return `${place}: ${failures} nodes in a row did not come up, ${when}`;
  });
}

/** The budgets of every scope around the pool's nodes, and the limits on spend. */
export function limitsOf(pool: PoolConfig, nodes: readonly Node[], from: SafetySource): string[] {
  const scopes = scopesAround(pool.name, nodes);
  const rooms = roomsOf(from)
    .filter(({ scope }) => scopes.has(scope))
    .map(({ scope, rung, used, max }) => `${rung} in ${scope}: ${used} of at most ${max}`);
  const payers = new Set([FLEET, `pool:${pool.name}`]);
  for (const ref of pool.providers) payers.add(`provider:${ref.name}`);
  const bills = openSpendBudget(from.fleet, from.config, from.now)
    .bills()
    .filter(({ scope }) => payers.has(scope))
    .flatMap(({ scope, perHour, instances, unknown, month, ceiling }) => {
      const { perHourMax, perMonthMax, instancesMax } = ceiling;
      const lines: string[] = [];
      if (instancesMax !== null) {
        lines.push(`instances of ${scope}: ${instances} of at most ${instancesMax}`);
      }
      if (perHourMax !== null) {
        const more = unknown === 0 ? "" : `, and ${unknown} of unknown price`;
        const most = `$${perHourMax.toFixed(2)}`;
        lines.push(`spend of ${scope}: $${perHour.toFixed(2)}/h of at most ${most}/h${more}`);
      }
      if (perMonthMax !== null) {
        const most = `at most $${perMonthMax.toFixed(2)} a month`;
        lines.push(`cost of ${scope} this month (UTC): $${month.toFixed(2)} of ${most}`);
      }
      return lines;
    });
  return [...rooms, ...bills];
}
