/**
 * Provider types with an adapter. A type without one still loads; `config validate`, the log, the
 * pool's condition, `doctor` and the metric give the same reason. Pure.
 */
import type { ProviderConfig, ProviderType } from "../../schema/config.ts";
import { unreachable } from "../../schema/unreachable.ts";

/** Why nothing can be bought at any provider of the type; `null` = there is an adapter. */
export function whyNoAdapter(type: ProviderType): string | null {
  switch (type) {
    case "aws":
    case "command":
    case "coreweave":
    case "fake":
    case "gcp":
    case "kwok":
    case "lambda":
    case "ssh":
    case "static":
      return null;
    case "docker":
    // Only the test program has this adapter (test/fixture/machine/main.ts).
    case "machine":
      return `providers of type ${type} have no adapter in this version`;
    default:
      return unreachable(type);
  }
}

/** Machines and clouds of these exist only in this product; every other type counts as real. */
const SIMULATED: ReadonlySet<ProviderType> = new Set<ProviderType>(["fake", "kwok"]);

export const isSimulated = (type: ProviderType): boolean => SIMULATED.has(type);

/** Providers without an adapter, with the reason. */
export function unadapted(configs: readonly ProviderConfig[]): Map<string, string> {
  return new Map(
    configs.flatMap(({ name, type }) => {
      const why = whyNoAdapter(type);
      return why === null ? [] : [[name, why] as const];
    }),
  );
}
