/**
 * Which providers this version can buy at. A type of the guides without an adapter still loads, and
 * the caller is told the same sentence: `config validate`, the log at start, the pool's
 * condition, `doctor` and the metric. Pure.
 */
import type { ProviderConfig, ProviderType } from "../../schema/config.ts";
import { unreachable } from "../../schema/unreachable.ts";

/** Why nothing can be bought at any provider of the type; `null` = there is an adapter. */
export function whyNoAdapter(type: ProviderType): string | null {
  switch (type) {
    case "command":
    case "fake":
    case "lambda":
      return null;
    case "gcp":
    case "aws":
    case "coreweave":
    case "docker":
    case "static":
    // Bought by the program of tests alone (test/fixture/machine/main.ts).
    case "machine":
      return `providers of type ${type} have no adapter in this version`;
    default:
      return unreachable(type);
  }
}

/** Providers without an adapter, with why nothing can be bought there. */
export function unadapted(configs: readonly ProviderConfig[]): Map<string, string> {
  return new Map(
    configs.flatMap(({ name, type }) => {
      const why = whyNoAdapter(type);
      return why === null ? [] : [[name, why] as const];
    }),
  );
}
