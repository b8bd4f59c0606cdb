/**
 * Formats recorded activations as the lines of a file, without secrets. Lazy, so that the file of a
 * large fleet is never in memory as a whole. Pure.
 */
import type { Config } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import { COMMIT, VERSION } from "../../../schema/version.ts";
import { openHider } from "../../config/hide.ts";
import {
  SAVED_KIND,
  type SavedActivation,
  saveRounds,
  saveSight,
} from "../../core/decide/saved-activation.ts";
import type { Activation } from "../../runtime/recorder.ts";
import { iso } from "./node.ts";

/** Lines made at once, without a pause. */
const SLICE_LINES = 50;

export function* saveActivations(
  activations: readonly Activation[],
  config: Config,
  now: number,
): Generator<string> {
  let slice = "";
  let lines = 0;
  for (const line of linesOf(activations, config, now)) {
    slice += `${JSON.stringify(line)}\n`;
    if (++lines % SLICE_LINES !== 0) continue;
    yield slice;
    slice = "";
  }
  yield slice;
}

function* linesOf(
  activations: readonly Activation[],
  config: Config,
  now: number,
): Generator<unknown> {
  const { config: hidden, hide } = openHider(config);
  const made = { version: VERSION, commit: COMMIT, taken_at: iso(now) };
  yield { kind: SAVED_KIND, format: 1, ...made, config: hidden };
  const places = new Map<Node, number>();
  for (const activation of activations) {
    for (const node of activation.fleet.nodes.values()) {
      if (places.has(node)) continue;
      places.set(node, places.size);
      yield hide({ kind: "node", node });
    }
    yield hide(saveActivation(activation, places));
  }
  yield { kind: "end", activations: activations.length };
}

function saveActivation(
  { fleet, sight, acts, decided }: Activation,
  places: ReadonlyMap<Node, number>,
): SavedActivation {
  return {
    kind: "activation",
    fleet_id: fleet.fleetId,
    acts,
    nodes: [...fleet.nodes.values()].map((node) => places.get(node) ?? -1),
    pools: [...fleet.pools.values()],
    operations: [...fleet.operations.values()],
    facts: [...fleet.facts.values()],
    sight: saveSight(sight),
    decided: decided.kind === "failed" ? decided : saveRounds(decided.rounds),
  };
}
