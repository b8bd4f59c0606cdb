/** What a reload replaces as one value: configuration, policy and open providers. */
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import type { Config } from "../../schema/config.ts";
import type { Provider } from "../core/provider.ts";

export type Settings = {
  config: Config;
  policy: CompiledPolicy;
  providers: ReadonlyMap<string, Provider>;
  /** Providers that could not be opened, with the reason. */
  unavailable: ReadonlyMap<string, string>;
};
