/**
 * A person says whose the machines are that hold a pool: this store's own, whose fleet id was lost,
 * or another fleet's. Adopting gives this store the id of the fleet, with which its machines are
 * adopted by their tags as after the loss of the database; the process starts again with it. Pure
 * except for the unit of work.
 */
import type { Config } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import { poolEvent } from "../event-draft.ts";
import type { Fleet } from "../fleet.ts";
import { holdingFleets, otherOwner } from "../stranger.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { sayFleet } from "../say/limit.ts";

export type FleetAnswer =
  /** `changed: false`: it was done before. */
  | { kind: "done"; changed: boolean }
  | { kind: "unknown"; known: string[] }
  | { kind: "refused"; message: string };

type Asked = { fleet: Fleet; id: string; by: string; reason: string; now: number };

/** What an adoption would do now, without doing it. */
export function judgeAdoption(
  { fleet, id }: Pick<Asked, "fleet" | "id">,
  config: Pick<Config, "pools">,
): FleetAnswer {
  const owner = otherOwner(fleet);
  if (id === (owner ?? fleet.fleetId)) return { kind: "done", changed: false };
  if (owner !== null) {
    const message = `this store is fleet ${owner}'s since its last adoption: restart first`;
    return { kind: "refused", message };
  }
  const known = holdingFleets(fleet, { ignored: true });
  const found = known.find((one) => one.fleet === id);
  if (found === undefined) return { kind: "unknown", known: known.map((one) => one.fleet) };
  const own = ownIn(fleet);
  if (own.length > 0) {
    const names = own.slice(0, 3).map((node) => node.id);
    const more = own.length > names.length ? ` and ${own.length - names.length} more` : "";
    const message =
      `a store has one fleet id, and fleet ${fleet.fleetId} has machines (${names.join(", ")}` +
      `${more}): scale its pools to 0 first, or \`navarch fleet ignore ${id}\``;
    return { kind: "refused", message };
  }
  for (const { name, scaling } of config.pools) {
    const [there] = holdingFleets(fleet, { pool: name, ignored: true, fleet: id });
    if (there === undefined || there.count <= scaling.maxNodes) continue;
    const message =
      `pool ${name} may have ${scaling.maxNodes} nodes and would get ${there.count}, so ` +
      `${there.count - scaling.maxNodes} would be ended: raise max_nodes and reload first`;
    return { kind: "refused", message };
  }
  return { kind: "done", changed: true };
}

/** Nodes with a machine, or with a purchase that may have made one. */
function ownIn({ nodes }: Fleet): Node[] {
  return [...nodes.values()].filter(({ instance, operation, phase }) => {
    return phase.kind !== "gone" && (instance !== null || operation !== null);
  });
}

/**
 * Gives the store the fleet's id. From the commit on nothing is bought until a process with that id
 * runs, so that no purchase carries the id that is given up.
 */
export function adoptFleet(
  asked: Asked,
  config: Pick<Config, "pools">,
  work: UnitOfWork,
): FleetAnswer {
  const { fleet, id, by, now } = asked;
  const judged = judgeAdoption(asked, config);
  if (judged.kind !== "done" || !judged.changed) return judged;
  work.putFact({ kind: "fleet", id, by, at: now });
  // Its machines were bought before this store belonged to it, so they may be at work.
  work.putFact({ kind: "record", since: now });
  if (fleet.facts.has(`ignored_fleet:${id}`)) work.dropFact(`ignored_fleet:${id}`);
  for (const { name } of config.pools) {
    const state = work.pool(name);
    const [there] = holdingFleets(fleet, { pool: name, ignored: true, fleet: id });
    if (state === null || there === undefined || state.desired >= there.count) continue;
    if (!state.desiredBy.startsWith("human:")) continue;
    // A size that a person gave to a pool that looked empty would end what is adopted.
    const size = { desired: there.count, desiredBy: `human:${by}`, desiredAt: now };
    work.putPool({ ...state, ...size });
  }
  const [found] = holdingFleets(fleet, { ignored: true, fleet: id });
  const what = found === undefined ? id : sayFleet(found);
  tell(work, asked, "fleet.adopted", `this store takes the id ${id} and ${what}`);
  return judged;
}

/** Lets the pools buy that only this fleet holds. */
export function ignoreFleet(asked: Asked, work: UnitOfWork): FleetAnswer {
  const { fleet, id, by, now } = asked;
  if (fleet.facts.has(`ignored_fleet:${id}`)) return { kind: "done", changed: false };
  const known = holdingFleets(fleet);
  const found = known.find((one) => one.fleet === id);
  if (found === undefined) return { kind: "unknown", known: known.map((one) => one.fleet) };
  work.putFact({ kind: "ignored_fleet", fleet: id, by, at: now });
  const message = `${sayFleet(found)} no longer hold pool ${found.pools.join(", ")}`;
  tell(work, asked, "fleet.ignored", message);
  return { kind: "done", changed: true };
}

function tell(
  work: UnitOfWork,
  { by, reason, now }: Asked,
  kind: "fleet.adopted" | "fleet.ignored",
  message: string,
): void {
  const why = reason === "" ? "" : `: ${reason}`;
  work.tell([{ ...poolEvent(null, now, kind, `${message}${why}`), actor: `human:${by}` }]);
}
