/** `POST /api/allocations`: the profile of a workload, by the utilisation that is measured now. */
import { type Allocation, AllocationAsk } from "../../../schema/console/profile.ts";
import { poolOf, profileOf, scoreOf } from "../../core/console/profile.ts";
import { measureUtilisation } from "../../core/console/utilisation.ts";
import type { RoutePorts, Route } from "./route.ts";
import { readBody } from "./request.ts";

const NO_LOAD = { cpu: null, memory: null, gpu: null };

export const allocationRoutes: readonly Route<RoutePorts>[] = [
  {
    at: "POST /api/allocations",
    access: "admin",
    act: ["compute", "allocation"],
    body: AllocationAsk,
    says:
      "[profile of a workload](queue.md#workload-profiles): body `quality`, `tier`, `priority`; " +
      "only from internal networks",
    run: async (c, ports) => {
      const ask = await readBody(c, AllocationAsk);
      const cluster = ports.reconciler.cluster().cluster ?? null;
      const resources = cluster?.resources() ?? null;
      const types = new Map(
        (cluster?.objects().list ?? []).map(({ name, labels }) => [name, labels["node-type"]]),
      );
      // The score is about the whole cluster: the pool is not chosen yet.
      const scored =
        ask.quality === undefined
          ? scoreOf(
              ask,
              measureUtilisation(resources, () => false),
            )
          : null;
      const quality = ask.quality ?? scored?.quality ?? "low";
      const { tier, priority } = ask;
      const pool = poolOf(profileOf({ quality, tier, priority }, NO_LOAD).quality);
      const { warnings, ...utilisation } = measureUtilisation(
        resources,
        (node) => types.get(node) === pool,
      );
      const answer: Allocation = {
        ...profileOf({ quality, tier, priority }, utilisation),
        asked: { quality: ask.quality ?? null, tier, priority },
        score: scored?.score ?? null,
        utilisation,
        warnings,
      };
      return c.json(answer);
    },
  },
];
