/**
 * The providers that pools may name: those that `providers` defines, and every known type that a
 * pool names without a definition.
 */
import type { ProviderConfig, ProviderType } from "../../schema/config.ts";
import { impliedProvider, type KnownProvider, typeOfName, warnAdapter } from "./provider.ts";
import type { Section } from "./section.ts";
import type { Entry } from "./tree.ts";

/** `type` is `null` where the definition is unsound, which is reported already. */
export type Resolved = { type: ProviderType | null; config: ProviderConfig | null };

export type Directory = {
  /** What `name` means where `entry` of `section` says it; `null` if it is not defined. */
  resolve(section: Section, entry: Entry, name: string): Resolved | null;
  defined(): string[];
  all(): ProviderConfig[];
};

export function directoryOf(known: readonly KnownProvider[]): Directory {
  const byName = new Map<string, Resolved>(known.map((one) => [one.name, one]));
  return {
    resolve(section, entry, name) {
      const found = byName.get(name);
      if (found !== undefined) return found;
      const type = typeOfName(name);
      if (type === null) return null;
      const config = impliedProvider(section, type);
      byName.set(name, { type, config });
      const message = `provider ${name} is not defined, so it has its default settings`;
      section.problems.note(entry.value.at, entry.path, "implied_provider", message);
      warnAdapter(section, entry.value.at, entry.path, type);
      return { type, config };
    },
    defined: () => [...byName.keys()],
    all: () => [...byName.values()].map((one) => one.config).filter((config) => config !== null),
  };
}
