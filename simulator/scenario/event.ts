/**
 * `events[]` of a scenario: what happens when. Which parameters an action takes depends on the
 * action; one that it does not take is an error, since it would be ignored.
 */
import type { Section } from "../../reconciler/config/section.ts";
import type { Table } from "../../schema/config/field.ts";
import { ACTIONS, type ActionWord, ownersOf, PARAMS } from "./action.ts";
import type { Step, ScenarioEvent } from "./scenario.ts";
import { readStep } from "./step.ts";
import type { Names } from "./name.ts";
import { lineOf, sectionsOf, wordOf } from "./value.ts";

/** Every parameter of any action: distinguishes a typo from another action's parameter. */
const ALL_PARAMS = [...new Set(Object.values<Table>(PARAMS).flatMap(Object.keys))];

/** Bound of the whole list; the file's own cap on values is usually reached before. */
const EVENTS_MAX = 100_000;

/** Targets without a meaning are refused: they would seem to limit the action. */
const WITHOUT_TARGET: ReadonlySet<ActionWord> = new Set([
  "start_fleet",
  "stop_fleet",
  "control_plane",
]);

/** Reads the events, sorted by time; events of one time stay in the order of the file. */
export function readEvents(root: Section, names: Names): ScenarioEvent[] {
  const events = sectionsOf(root, "events", EVENTS_MAX).flatMap((section) => {
    const event = readEvent(section, names);
    return event === null ? [] : [event];
  });
  return events.sort((a, b) => a.atMs - b.atMs);
}

function readEvent(section: Section, names: Names): ScenarioEvent | null {
  const atMs = section.duration("at") ?? 0;
  const action = section.choice("action", ACTIONS);
  if (!section.has("action")) section.missing("action", `one of ${ACTIONS.join(", ")}`);
  const params = section.map("params");
  if (action === null) {
    section.look("target");
    section.finish();
    return null;
  }
  if (WITHOUT_TARGET.has(action) && wordOf(section, "target") !== null) {
    section.fail("target", "misplaced", `${action} takes no target`, "leave it out");
  }
  const step: Step | null = readStep(action, section, params, names);
  params.finish(misplaced(action), ALL_PARAMS);
  section.finish(outside);
  return step === null ? null : { ...step, atMs, line: lineOf(section) };
}

function misplaced(action: ActionWord) {
  return (key: string) => {
    const owners = ownersOf(key);
    if (owners.length === 0) return null;
    return { message: `is no parameter of ${action}`, hint: `of ${owners.join(", ")}` };
  };
}

function outside(key: string) {
  if (ownersOf(key).length === 0) return null;
  return { message: "belongs under params", hint: "move it" };
}
