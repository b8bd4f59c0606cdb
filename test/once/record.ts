/**
 * What is kept of a long proof: its figures, with commit, date and machine, without which a number
 * is not published. No name of a host and no path is kept. Pure.
 */
import * as v from "valibot";
import type { Machine } from "../bench/machine.ts";

const Figure = v.union([
  v.nullable(v.number()),
  v.string(),
  v.boolean(),
  v.record(v.string(), v.number()),
]);
/** What a proof writes to `--figures`. */
export const Figures = v.record(v.string(), Figure);
export type Figures = v.InferOutput<typeof Figures>;

export type ProofRecord = {
  proof: string;
  summary: string;
  /** Whether what it proves held. */
  held: boolean;
  /** RFC 3339, when it began. */
  at: string;
  seconds: number;
  command: string;
  machine: Machine;
  figures: Figures;
};

/** Two digits of a number are enough to be compared by eye. */
export function formatRecord(record: ProofRecord): string {
  const rows = Object.entries(record.figures).map(([name, value]) => {
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    return [name, typeof value === "number" && !Number.isInteger(value) ? value.toFixed(2) : text];
  });
  const width = Math.max(0, ...rows.map(([name]) => name?.length ?? 0));
  const lines = rows.map(([name = "", value = ""]) => `  ${name.padEnd(width)}  ${value}`);
  const verdict = record.held ? "held" : "DID NOT HOLD";
  return [`${record.proof}: ${verdict} in ${record.seconds} s`, ...lines].join("\n");
}
