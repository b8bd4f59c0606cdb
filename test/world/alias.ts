/** Another provider over a cloud's machines: one account can have several in a configuration. */
import type { Provider, Reach } from "../../reconciler/core/provider.ts";
import { REACHES_ANY } from "../../reconciler/core/reach.ts";
import { strangersIn } from "../../reconciler/core/stranger.ts";
import type { World as CloudWorld } from "../../reconciler/provider/fake/world.ts";
import { aroundProvider } from "../../reconciler/provider/around.ts";

/** `reach` as the cloud tells it; the account's machines are listed whatever it says. */
export function aliasOf(cloud: Provider, name: string, reach: Partial<Reach> = {}): Provider {
  const same = aroundProvider(cloud, (_call, next) => next());
  const known: Reach = { ...REACHES_ANY, type: cloud.type, ...reach };
  return { ...same, name, reach: () => known };
}

/** The same cloud for a control plane whose fleet has another id. */
export function forFleet(
  cloud: Provider & { world(): CloudWorld },
  fleetId: () => string,
): Provider {
  const all = () => [...cloud.world().instances.values()].map(({ instance }) => instance);
  return {
    ...aroundProvider(cloud, (_call, next) => next()),
    async list() {
      const own = all().filter(({ tags }) => tags["navarch-fleet"] === fleetId());
      return { kind: "ok", instances: own };
    },
    async strangers(pools) {
      return { kind: "ok", instances: strangersIn(all(), fleetId(), pools) };
    },
  };
}
