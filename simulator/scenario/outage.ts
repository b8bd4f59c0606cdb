/** `chaos.scheduled_outages[]` of a scenario. */
import type { Section } from "../../reconciler/config/section.ts";
import { nearest } from "../../schema/nearest.ts";
import type { Names } from "./name.ts";
import { readPart } from "../../reconciler/config/table.ts";
import type { Outage } from "./scenario.ts";
import { OUTAGE } from "./table.ts";
import { sectionsOf } from "./value.ts";

const OUTAGES_MAX = 1_000;
type Named = "zone" | "region" | "provider";

export function readOutages(chaos: Section, names: Names): Outage[] {
  return sectionsOf(chaos, "scheduled_outages", OUTAGES_MAX).flatMap((section, index) => {
    const found = readOutage(section, index, names);
    section.finish();
    return found === null ? [] : [found];
  });
}

function readOutage(section: Section, index: number, names: Names): Outage | null {
  const part = readPart(section, OUTAGE);
  const { durationMs, scope, failureType, target } = part;
  const name = part.name ?? `outage-${index + 1}`;
  if (durationMs === null || scope === null || failureType === null) return null;
  const common = { name, startMs: part.startMs ?? 0, durationMs, failureType };
  if (scope !== "percentage") {
    if (target !== null) warnTarget(section, scope, target, names);
    return { ...common, scope, target: target ?? "" };
  }
  const percent = Number(target?.endsWith("%") ? target.slice(0, -1) : target);
  if (target === null || !(percent >= 0 && percent <= 100)) {
    if (target !== null) section.fail("target", "range", "expected a percentage from 0 to 100");
    return null;
  }
  return { ...common, scope, percent };
}

/** A pool may buy in a place that the fleet does not have yet, so this is no error. */
function warnTarget(section: Section, scope: Named, target: string, names: Names): void {
  const known = { zone: names.zones, region: names.regions, provider: names.providers }[scope];
  if (known.includes(target)) return;
  const close = nearest(target, known);
  const hint = close === null ? null : `did you mean "${close}"?`;
  const entry = section.look("target");
  const at = entry?.value.at ?? section.at;
  const message = `no node of the fleet is in ${scope} ${JSON.stringify(target)}`;
  section.problems.warning(at, entry?.path ?? section.path, "no_effect", message, hint);
}
