/**
 * Reads pool labels, which must be valid Kubernetes labels (Kubernetes: Labels and Selectors,
 * "Syntax and character set").
 */
import { LIMIT } from "../../schema/limit.ts";
import type { Section } from "./section.ts";
import { readText } from "./value.ts";

const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
/** A DNS subdomain: labels joined by single dots. */
const PREFIX = {
  test: (text: string): boolean =>
    /^[a-z0-9.-]{1,253}$/.test(text) &&
    text.split(".").every((label) => /^[a-z0-9]/.test(label) && /[a-z0-9]$/.test(label)),
};

/** Always present, with the pool's name as value. */
export const POOL_LABELS = ["pool", "navarch.dev/pool"] as const;

export function isLabelKey(key: string): boolean {
  const slash = key.indexOf("/");
  if (slash < 0) return NAME.test(key);
  return PREFIX.test(key.slice(0, slash)) && NAME.test(key.slice(slash + 1));
}

/** Of a label that is not empty. */
export const isLabelValue = (value: string): boolean => NAME.test(value);

/** Invalid labels are reported and left out. */
export function readLabels(owner: Section, key: string): Record<string, string> {
  const entries = owner.map(key).entries();
  const labels: [string, string][] = [];
  if (entries.length > LIMIT.labelsMax) {
    owner.fail(key, "limit", `has more than ${LIMIT.labelsMax} labels`);
  }
  const hint = "letters, digits, . _ - with a letter or digit at both ends, at most 63";
  for (const label of entries) {
    if (!isLabelKey(label.key)) {
      owner.problems.error(label.at, label.path, "label", "not a valid label key", hint);
      continue;
    }
    const isEmpty = label.value.kind === "scalar" && label.value.value === "";
    const text = isEmpty ? "" : readText(owner.problems, label.value, true);
    if (text === null) continue;
    if (text !== "" && !NAME.test(text)) {
      owner.problems.error(label.value.at, label.path, "label", "not a valid label value", hint);
      continue;
    }
    labels.push([label.key, text]);
  }
  return Object.fromEntries(labels);
}
