/**
 * Values as scenario files write them. Upstream's reader takes any scalar where it wants text
 * (`expected: 800`, `trigger: 74`), so these do, where the configuration's readers would refuse.
 * Weights are numbers by name.
 */
import type { Homes, Section } from "../../reconciler/config/section.ts";
import { readSection } from "../../reconciler/config/section.ts";
import { readNumber, readWord, wrongType } from "../../reconciler/config/value.ts";
import type { Weighted } from "./scenario.ts";

/** The table of homes is about configurations. */
export const noHome: Homes = () => null;

export function wordOf(section: Section, key: string, prose = false): string | null {
  const entry = section.look(key);
  return entry === null ? null : readWord(section.problems, entry.value, prose);
}

/** Like `wordOf`, and reports a missing value. */
export function wantWord(section: Section, key: string, hint: string | null = null): string {
  const before = section.look(key);
  const word = wordOf(section, key);
  const isEmpty = before === null || (before.value.kind === "scalar" && before.value.value === "");
  if (isEmpty) section.missing(key, hint);
  return word ?? "";
}

/** A list of mappings, each as a section; refuses more than `max`. */
export function sectionsOf(section: Section, key: string, max: number): Section[] {
  const items = section.items(key) ?? [];
  if (items.length > max) section.fail(key, "limit", `has more than ${max} items`);
  return items
    .slice(0, max)
    .map((item) => readSection(section.problems, item, item.path, item.at, noHome))
    .filter((one) => one.given);
}

/** Weights by name, sorted by name; `null` if the key is absent or no weight is positive. */
export function weightsOf(section: Section, key: string): Weighted | null {
  const entry = section.look(key);
  if (entry === null) return null;
  if (entry.value.kind !== "map") {
    wrongType(section.problems, entry.value, "a mapping from names to weights");
    return null;
  }
  const weights: Weighted = [];
  for (const one of entry.value.entries) {
    const weight = readNumber(section.problems, one.value, { min: 0 });
    if (weight !== null) weights.push({ name: one.key, weight });
  }
  if (weights.length === 0) return null;
  if (weights.every((one) => one.weight === 0)) {
    section.fail(key, "range", "needs a weight above 0");
    return null;
  }
  return weights.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The first line of an entry, for messages at run time. */
export function lineOf(section: Section): number {
  return section.at.line;
}
