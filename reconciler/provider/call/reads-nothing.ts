/** The read-only answers of a provider that has no calls for them. */
import type { Provider } from "../../core/provider.ts";

const unsupported = { kind: "unsupported" } as const;

export const readsNothing: Pick<Provider, "offers" | "hostKeys" | "quota" | "inspect"> = {
  offers: () => Promise.resolve(unsupported),
  hostKeys: () => Promise.resolve(unsupported),
  quota: () => Promise.resolve(unsupported),
  inspect: () => Promise.resolve([]),
};
