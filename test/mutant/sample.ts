/**
 * Which mutants are drawn, and what a share of a sample says about the whole. The same number comes
 * from each file, so that one long file does not stand for all. Pure.
 */
import { seeded } from "../../simulator/engine/random.ts";
import { generateMutants, type Mutant } from "./operator.ts";

export type Candidate = Mutant & { file: string; line: number; before: string };

export const candidatesOf = (file: string, source: string): Candidate[] =>
  generateMutants(file, source).map((mutant) => ({
    ...mutant,
    file,
    line: source.slice(0, mutant.start).split("\n").length,
    before: source.slice(mutant.start, mutant.end),
  }));

export function shuffled<Item>(items: readonly Item[], next: () => number): Item[] {
  const keyed = items.map((item) => ({ item, key: next() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

/** `count` of them, taken in turn from each file until none is left. */
export function draw(all: readonly Candidate[], count: number, seed: number): Candidate[] {
  const next = seeded(seed);
  const byFile = Map.groupBy(all, ({ file }) => file);
  const rows = shuffled([...byFile.values()], next).map((row) => shuffled(row, next));
  const drawn: Candidate[] = [];
  for (let turn = 0; drawn.length < count; turn += 1) {
    const left = rows.filter((row) => row.length > turn);
    if (left.length === 0) break;
    for (const row of left.slice(0, count - drawn.length)) drawn.push(...row.slice(turn, turn + 1));
  }
  return drawn;
}

/** Lower end of the 95 % Wilson interval of `hits` in `count`; 0 for an empty sample. */
export function lowerBound(hits: number, count: number): number {
  if (count === 0) return 0;
  const z = 1.959964;
  const share = hits / count;
  const spread = z * Math.sqrt((share * (1 - share) + (z * z) / (4 * count)) / count);
  return (share + (z * z) / (2 * count) - spread) / (1 + (z * z) / count);
}

/** What names a mutant through edits elsewhere in its file: its text, not its place. */
export const keyOf = ({ file, before, replacement }: Candidate, lineText: string): string =>
  `${file} | ${lineText.trim()} | ${oneLine(before)} → ${oneLine(replacement)}`;

export const oneLine = (text: string): string => {
  const flat = text.replace(/\s+/g, " ");
  return flat.length > 160 ? `${flat.slice(0, 120)} … ${flat.slice(-30)}` : flat;
};
