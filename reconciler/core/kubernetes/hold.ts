/**
 * Reads a person's hold on a Node from the annotation or the label `navarch.dev/hold`. Pure. Every
 * value that is not clearly "no" holds, also under a misspelt key (`Hold`, `holds`): a hold that is
 * not understood must not end a machine.
 */
import type { Node } from "../../../schema/node.ts";
import type { Sight } from "../fleet.ts";
import { ANNOTATION, DOMAIN } from "./object.ts";
import type { Kept } from "../say/hold.ts";

export type Hold = {
  held: boolean;
  /** The unreadable value, or KEY=VALUE of a misspelt key; `null` = clear. */
  unclear: string | null;
};

const NO: ReadonlySet<string> = new Set(["false", "no", "0", "off"]);
const YES: ReadonlySet<string> = new Set(["true", "yes", "1", "on"]);
/** Enough for a person to find the value. */
const VALUE_CHARS_MAX = 64;
const TEXT_CHARS_MAX = 128;

/** Kubernetes keys are case-sensitive; these are compared in lower case. */
const MISSPELT = new Set(["hold", "holds", "held", "hodl", "onhold", "on-hold", "on_hold"]);
const PREFIX = `${DOMAIN}/`;

type Texts = Readonly<Record<string, string>>;

/** Holds under a misspelt key, as KEY=VALUE. */
export function misspeltHolds(texts: Texts): string[] {
  const found: string[] = [];
  for (const key in texts) {
    if (!key.startsWith(PREFIX) || key === ANNOTATION.hold) continue;
    if (!MISSPELT.has(key.slice(PREFIX.length).toLowerCase())) continue;
    const value = texts[key] ?? "";
    if (!NO.has(value.trim().toLowerCase())) found.push(`${key}=${value}`.slice(0, TEXT_CHARS_MAX));
  }
  return found;
}

export function readHold(object: { annotations: Texts; labels: Texts }): Hold {
  const hold: Hold = { held: false, unclear: null };
  for (const value of [object.annotations[ANNOTATION.hold], object.labels[ANNOTATION.hold]]) {
    if (value === undefined) continue;
    const word = value.trim().toLowerCase();
    if (NO.has(word)) continue;
    hold.held = true;
    if (!YES.has(word)) hold.unclear ??= value.slice(0, VALUE_CHARS_MAX);
  }
  if (hold.held) return hold;
  const [meant] = [...misspeltHolds(object.annotations), ...misspeltHolds(object.labels)];
  return meant === undefined ? hold : { held: true, unclear: meant };
}

/** Why nothing may be done to the node: a person's hold on its object, or an ambiguous match. */
export function keptBy({ id, kube }: Node, { sight }: { sight: Pick<Sight, "kube"> }): Kept | null {
  if (kube?.hold === true) {
    return { code: "node_held", node: kube.name, unclear: kube.holdUnclear ?? null };
  }
  const said = sight.kube?.ambiguous.get(id);
  return said === undefined ? null : { code: "ambiguous", said };
}
