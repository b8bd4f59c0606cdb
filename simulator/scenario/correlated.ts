/**
 * `chaos.correlated_failures[]` of a scenario: upstream documents them and has no code for them.
 */
import { fillTable } from "../../schema/config/field.ts";
import type { Section } from "../../reconciler/config/section.ts";
import { nearest } from "../../schema/nearest.ts";
import { readMapping } from "../../reconciler/config/table.ts";
import { FAILURE_TYPES } from "./action.ts";
import type { Correlated } from "./scenario.ts";
import { CORRELATED } from "./table.ts";
import { sectionsOf, wantWord } from "./value.ts";

const CORRELATED_MAX = 1_000;

export function readCorrelated(chaos: Section): Correlated[] {
  return sectionsOf(chaos, "correlated_failures", CORRELATED_MAX).flatMap((section, index) => {
    const trigger = readTrigger(section);
    const part = readMapping(section, CORRELATED);
    const { response, name, ...found } = fillTable(CORRELATED, part);
    if (trigger === null || part.response === null) return [];
    return [{ ...found, name: name ?? `correlated-${index + 1}`, trigger, response }];
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
