/** Another provider over a cloud's machines: one account can have several in a configuration. */
import type { Provider, Reach } from "../../reconciler/core/provider.ts";
import { REACHES_ANY } from "../../reconciler/core/reach.ts";
import { aroundProvider } from "../../reconciler/provider/around.ts";

/** `reach` as the cloud tells it; the account's machines are listed whatever it says. */
export function aliasOf(cloud: Provider, name: string, reach: Partial<Reach> = {}): Provider {
  const same = aroundProvider(cloud, (_call, next) => next());
  const known: Reach = { ...REACHES_ANY, type: cloud.type, ...reach };
  return { ...same, name, reach: () => known };
}
