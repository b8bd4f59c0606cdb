/**
 * Refuses `simulation.enabled` beside a provider that sells real machines: a fleet that people
 * break on purpose has none.
 */
import { type Config, PROVIDER_TYPES } from "../../schema/config.ts";
import { isSimulated } from "../core/adapter.ts";
import type { Layer } from "./layer.ts";
import { finderOf } from "./place.ts";
import type { Problems } from "./problem.ts";

export function refuseReal(
  problems: Problems,
  layer: Layer,
  { pools, providers }: Pick<Config, "pools" | "providers">,
): void {
  const types = new Map(providers.map(({ name, type }) => [name, type]));
  const find = finderOf(layer);
  const { at } = find(null, ["simulation", "enabled"]);
  for (const pool of pools) {
    for (const name of new Set(pool.providers.map((ref) => ref.name))) {
      const type = types.get(name);
      if (type === undefined || isSimulated(type)) continue;
      const message =
        `pool ${pool.name} has real machines, of provider ${name} (type ${type}); faults may be ` +
        "injected into simulated ones only";
      const may = PROVIDER_TYPES.filter(isSimulated).join(", ");
      const hint = `set it to false, or keep only providers of type ${may}`;
      problems.error(at, "simulation.enabled", "real_machines", message, hint);
    }
  }
}
