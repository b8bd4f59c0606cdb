/**
 * A person's hold on a Node, read from the annotation or the label `navarch.dev/hold`. People write
 * `true`, `yes`, `1` and `on` for the same wish, and a hold that is not understood must not end a
 * machine: whatever does not clearly say no, holds. Pure.
 */
import { ANNOTATION } from "./object.ts";

export type Hold = {
  held: boolean;
  /** The value that could not be read, bounded; `null` = it was clear. */
  unclear: string | null;
};

const NO: ReadonlySet<string> = new Set(["false", "no", "0", "off"]);
const YES: ReadonlySet<string> = new Set(["true", "yes", "1", "on"]);
/** Enough for a person to find it again. */
const VALUE_CHARS_MAX = 64;

export function readHold(object: {
  annotations: Readonly<Record<string, string>>;
  labels: Readonly<Record<string, string>>;
}): Hold {
  const hold: Hold = { held: false, unclear: null };
  for (const value of [object.annotations[ANNOTATION.hold], object.labels[ANNOTATION.hold]]) {
    if (value === undefined) continue;
    const word = value.trim().toLowerCase();
    if (NO.has(word)) continue;
    hold.held = true;
    if (!YES.has(word)) hold.unclear ??= value.slice(0, VALUE_CHARS_MAX);
  }
  return hold;
}

/** The hold on this Node in words. */
export function formatHold(name: string, unclear: string | null | undefined): string {
  if (unclear == null) return `${ANNOTATION.hold} is set on Node ${name}`;
  const value = JSON.stringify(unclear);
  return `${ANNOTATION.hold}=${value} on Node ${name} is neither yes nor no, so the Node is held`;
}
