/** Compares figures of two commits that were measured in turn. Pure. */
import type { Figure } from "./bench.ts";

/** The figures of one turn: the same benches for both commits, one after the other. */
export type Turn = { ours: readonly Figure[]; base: readonly Figure[] };

export type Row = {
  name: string;
  unit: Figure["unit"];
  /** Medians. */
  ours: number;
  base: number;
  /** Ours as a share of the base's, of each turn. */
  ratios: number[];
};

/** They describe the measurement or are single extremes; counts are no cost. */
const NO_COST = /generator|window|\bmax$|^starts of each/;
/** A row may be this much worse; within it lies what two runs of one commit differ by. */
const WORSE = 1.1;

export function medianOf(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length / 2;
  const [low = NaN, high = NaN] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return (low + high) / 2;
}

/** One row a figure that both commits have; less is better in all of them. */
export function pairUp(turns: readonly Turn[]): Row[] {
  const [first] = turns;
  return (first?.ours ?? []).flatMap(({ name, unit }) => {
    if (unit === "count" || (NO_COST.test(name) && !/RSS max$|PSS max$/.test(name))) return [];
    const pairs = turns.flatMap(({ ours, base }) => {
      const [mine, other] = [ours, base].map((list) => list.find((one) => one.name === name));
      return mine === undefined || other === undefined ? [] : [[mine.measured, other.measured]];
    });
    const ratios = pairs.map(([mine = NaN, other = NaN]) => mine / other).filter(Number.isFinite);
    if (ratios.length === 0) return [];
    const of = (at: 0 | 1) => medianOf(pairs.map((pair) => pair[at] ?? NaN));
    return [{ name, unit, ours: of(0), base: of(1), ratios }];
  });
}

/** Worse by more than a tenth in the median, and worse in three turns of four. */
export function isWorse({ ratios }: Row): boolean {
  const worse = ratios.filter((ratio) => ratio > 1).length;
  return medianOf(ratios) > WORSE && worse >= ratios.length * 0.75;
}

const number = (value: number): string => value.toFixed(value >= 100 ? 1 : 2);

export function formatRows(rows: readonly Row[]): string {
  const width = Math.max(0, ...rows.map(({ name }) => name.length));
  return rows
    .map((row) => {
      const share = medianOf(row.ratios).toFixed(2);
      const [least, most] = [Math.min(...row.ratios), Math.max(...row.ratios)];
      const spread = `× ${share} (${least.toFixed(2)}–${most.toFixed(2)})`;
      const values = `${number(row.base)} → ${number(row.ours)} ${row.unit}`;
      return `${row.name.padEnd(width)}  ${values.padStart(24)}  ${spread}${isWorse(row) ? "  WORSE" : ""}`;
    })
    .join("\n");
}
