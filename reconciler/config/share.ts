/** A number of nodes, or a share as `20%`: how every budget is written. */
import type { Share } from "../../schema/config.ts";
import type { Section } from "./section.ts";

/** `null` if the key is absent, or wrong and reported. */
export function readShare(section: Section, key: string): Share | null {
  const entry = section.look(key);
  if (entry === null) return null;
  const value = entry.value.kind === "scalar" ? entry.value.value : null;
  let share: Share | null = null;
  if (typeof value === "number" && value > 0 && value < 1) {
    const hint = `write ${Math.round(value * 100_000) / 1_000}%`;
    section.fail(key, "type", `${value} is neither a number of nodes nor a share`, hint);
  } else if (typeof value === "number") {
    const nodes = section.integer(key, { min: 0 });
    share = nodes === null ? null : { kind: "nodes", nodes };
  } else {
    const match = typeof value === "string" ? /^(\d+(?:\.\d+)?)\s*%$/.exec(value) : null;
    const percent = match === null ? null : Number(match[1]);
    if (percent !== null && percent <= 100) share = { kind: "percent", percent };
    else section.fail(key, "type", "expected a number of nodes or a share", "write 2 or 20%");
  }
  if (share?.kind === "percent" && share.percent > 0 && share.percent < 1) {
    const hint = `write ${Math.round(share.percent * 100_000) / 1_000}% if that is what is meant`;
    section.warn(key, "fraction", "is less than one percent", hint);
  }
  if (share !== null && (share.kind === "nodes" ? share.nodes : share.percent) === 0) {
    section.warn(key, "zero_unavailable", "is zero, so that no node is ever replaced");
  }
  return share;
}

export function formatShare(share: Share): number | string {
  return share.kind === "nodes" ? share.nodes : `${share.percent}%`;
}
