/**
 * `chaos.correlated_failures[]` of a scenario: upstream documents them and has no code for them.
 */
import type { Section } from "../../reconciler/config/section.ts";
import { nearest } from "../../schema/nearest.ts";
import { type Correlated, CORRELATED_SCOPES, FAILURE_TYPES } from "./scenario.ts";
import { sectionsOf, wantWord, wordOf } from "./value.ts";

const CORRELATED_MAX = 1_000;

export function readCorrelated(chaos: Section): Correlated[] {
  return sectionsOf(chaos, "correlated_failures", CORRELATED_MAX).flatMap((section, index) => {
    const name = wordOf(section, "name") ?? `correlated-${index + 1}`;
    const trigger = readTrigger(section);
    const response = section.choice("response", FAILURE_TYPES);
    if (!section.has("response")) section.missing("response", FAILURE_TYPES.join(", "));
    const probability = section.number("probability", { min: 0, max: 1 }) ?? 1;
    const delayMs = section.duration("delay") ?? 0;
    const scope = section.choice("scope", CORRELATED_SCOPES) ?? "same_node";
    section.finish();
    if (trigger === null || response === null) return [];
    return [{ name, trigger, response, probability, delayMs, scope }];
  });
}

/** An XID code, as text or number, or a type of failure. */
function readTrigger(section: Section): Correlated["trigger"] | null {
  const word = wantWord(section, "trigger", "an XID code or a failure type");
  if (word === "") return null;
  if (/^\d{1,6}$/.test(word)) return { xidCode: Number(word) };
  const type = FAILURE_TYPES.find((one) => one === word);
  if (type !== undefined) return { type };
  const close = nearest(word, FAILURE_TYPES);
  const hint = close === null ? "an XID code or a failure type" : `did you mean "${close}"?`;
  const message = `${JSON.stringify(word.slice(0, 60))} is neither an XID code nor a failure type`;
  section.fail("trigger", "choice", message, hint);
  return null;
}
