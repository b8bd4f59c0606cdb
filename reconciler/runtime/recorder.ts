/**
 * The last activations with their inputs, for `navarch support dump`. Memory only, bounded by the
 * number of activations and of nodes in them. Documents and facts are shared with the ledger, which
 * replaces and never edits them, so that an activation costs a copy of the maps.
 */
import type { Round } from "../core/decide/activation.ts";
import type { Fleet, Sight } from "../core/fleet.ts";

export type Decided = { kind: "decided"; rounds: Round[] } | { kind: "failed"; message: string };

export type Activation = {
  fleet: Fleet;
  sight: Sight;
  /** `false`: the plan was only shown. */
  acts: boolean;
  decided: Decided;
};

export const ACTIVATIONS_MAX = 64;
/** In all activations together; the last one is always kept. */
const NODES_MAX = 50_000;

export class Recorder {
  readonly #bounds: { activations: number; nodes: number };
  #kept: { activation: Activation; quiet: string | null }[] = [];

  constructor(bounds = { activations: ACTIVATIONS_MAX, nodes: NODES_MAX }) {
    this.#bounds = bounds;
  }

  /** Copies the inputs before the decision; call the result with the decision. */
  begin(live: Fleet, sight: Sight, acts: boolean): (decided: Decided) => void {
    const fleet: Fleet = {
      fleetId: live.fleetId,
      nodes: new Map(live.nodes),
      pools: new Map(live.pools),
      operations: new Map(live.operations),
      facts: live.facts,
    };
    return (decided) => this.#keep({ fleet, sight, acts, decided });
  }

  /** Oldest first. */
  last(count: number): Activation[] {
    return this.#kept.slice(-count).map(({ activation }) => activation);
  }

  #keep(activation: Activation): void {
    const quiet = quietOf(activation.decided);
    const before = this.#kept.at(-1)?.quiet ?? null;
    // Hours of equal waits must not displace earlier activations.
    if (quiet !== null && quiet === before) this.#kept.pop();
    this.#kept.push({ activation, quiet });
    const { activations, nodes } = this.#bounds;
    let size = 0;
    for (const one of this.#kept) size += one.activation.fleet.nodes.size;
    while (this.#kept.length > 1 && (this.#kept.length > activations || size > nodes)) {
      size -= this.#kept.shift()?.activation.fleet.nodes.size ?? 0;
    }
  }
}

/** The waits of an activation without actions, as one text; `null` if it acted or failed. */
function quietOf(decided: Decided): string | null {
  if (decided.kind === "failed") return null;
  if (decided.rounds.some(({ plan, broken }) => plan.actions.length > 0 || broken.size > 0)) {
    return null;
  }
  const waits = decided.rounds.flatMap(({ plan }) => plan.waits);
  return waits.map(({ node, pool, reason }) => `${node ?? pool ?? ""} ${reason}`).join("\n");
}
