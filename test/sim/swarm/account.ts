/** The swarm's cloud as the configuration names it: under two names, or in another account. */
import type { Provider, Reach } from "../../../reconciler/core/provider.ts";
import { aliasOf } from "../../world/alias.ts";
import type { Cloud } from "./cloud.ts";

export const HOME: Reach = { type: "fake", account: "fake 1", region: null };

/** The account under two names, or the first name in another account. */
export function providersOf(cloud: Cloud, isMoved: boolean): Map<string, Provider> {
  const other = aliasOf(cloud, "other", HOME);
  if (!isMoved)
    return new Map([
      ["fake", cloud],
      ["other", other],
    ]);
  const away: Provider = {
    ...aliasOf(cloud, "fake", { ...HOME, account: "fake 2" }),
    list: () => Promise.resolve({ kind: "ok", instances: [] }),
    create: () =>
      Promise.resolve({ kind: "refused", class: "capacity", message: "away", retryAfterMs: null }),
  };
  return new Map([
    ["fake", away],
    ["other", other],
  ]);
}
