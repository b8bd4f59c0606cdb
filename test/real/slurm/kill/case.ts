/** Which deaths a proof tries: all that one undisturbed repair has, or an even choice. Pure. */
import { type Death, isEffect, type Passed } from "./order.ts";
import type { Meanwhile } from "./story.ts";

export type Case = { deaths: readonly Death[]; meanwhile: Meanwhile };

/** A repair takes a few writes more or less than another. */
const MORE = 4;

export function nameOf({ deaths, meanwhile }: Case): string {
  const names = deaths.map(({ n, side, what }) => [`${n}${side}`, what ?? ""].join(" ").trim());
  return `${names.join(", then ")}${meanwhile === "nothing" ? "" : `, and ${meanwhile}`}`;
}

const isOutward = (what: string): boolean => isEffect(what) && !what.startsWith("sql.");

const one = (death: Death): Case => ({ deaths: [death], meanwhile: "nothing" });

export type Catalog = {
  /** Before and after each write and call. */
  each: Case[];
  /** While a call is under way. */
  underWay: Case[];
  /** After a look, before what it saw is known. */
  looks: Case[];
};

/** What the points of an undisturbed repair give to choose from. */
export function catalogOf(points: readonly Passed[]): Catalog {
  const begun = points.filter(({ side }) => side === "b");
  const last = Math.max(0, ...begun.map(({ n }) => n)) + MORE;
  const each = Array.from({ length: last }, (_, i) => i + 1).flatMap((n) => [
    one({ n, side: "b" }),
    one({ n, side: "a" }),
  ]);
  const looks = points.filter(({ side }) => side === "r");
  return {
    each,
    underWay: byName(
      begun.filter(({ what }) => isOutward(what)),
      "d",
    ),
    looks: byName(looks, "r"),
  };
}

/** One death at each, counted among those of its name: their order differs between repairs. */
function byName(points: readonly Passed[], side: Death["side"]): Case[] {
  const counts = new Map<string, number>();
  return points.map(({ what }) => {
    const n = (counts.get(what) ?? 0) + 1;
    counts.set(what, n);
    return one({ n, side, what });
  });
}

export const withMeanwhile = (cases: readonly Case[], meanwhile: Meanwhile): Case[] =>
  cases.map(({ deaths }) => ({ deaths, meanwhile }));

/** `count` of them, evenly spread, from the `from`-th on. */
export function spread<T>(all: readonly T[], count: number, from: number): T[] {
  const step = all.length / count;
  const at = (i: number): number => Math.floor((i + from) * step) % all.length;
  return Array.from({ length: Math.min(count, all.length) }, (_, i) => all[at(i)]).flatMap((one) =>
    one === undefined ? [] : [one],
  );
}
