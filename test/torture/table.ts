/** The outcome for people: one line while it runs, a table at the end, a violation with what
 * explains it. Pure. */
import type { CloudJudge, Rule, Violation } from "./judge.ts";
import type { OperationDoc } from "./ledger.ts";
import type { Figures } from "./round.ts";

/** `share` 0.5 is the median; `null` of nothing. */
export function quantile(values: readonly number[], share: number): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null;
}

const LOST: readonly Rule[] = ["I1 committed intent", "I14 audit"];
const DOUBLED: readonly Rule[] = ["I2 one per slot", "no double of one ask"];
const ORPHANED: readonly Rule[] = ["I3 nothing unknown"];

export type Counts = { lost: number; doubled: number; orphans: number; other: number };

export function countsOf(violations: readonly Violation[]): Counts {
  const of = (rules: readonly Rule[]) =>
    violations.filter(({ rule }) => rules.includes(rule)).length;
  const [lost, doubled, orphans] = [of(LOST), of(DOUBLED), of(ORPHANED)];
  return { lost, doubled, orphans, other: violations.length - lost - doubled - orphans };
}

const ms = (value: number | null): string => (value === null ? "–" : `${Math.round(value)} ms`);

export function formatLine(figures: Figures, counts: Counts, of: number, seconds: number): string {
  const { lost, doubled, orphans, other } = counts;
  const p99 = ms(quantile(figures.firstEffectMs, 0.99));
  const bad = `${lost} lost, ${doubled} doubled, ${orphans} orphans, ${other} other violations`;
  return `${figures.kills}/${of} kills, ${bad}, M6 p99 ${p99}, ${seconds.toFixed(0)} s`;
}

export function formatTable(rows: readonly (readonly [string, string | number])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}

export function rowsOf(
  figures: Figures,
  counts: Counts,
  more: { seconds: number; seed: number; rounds: number; classes: string },
): [string, string | number][] {
  const { firstEffectMs: effects, orphanMs } = figures;
  const spread = (map: ReadonlyMap<string, number>): string =>
    [...map]
      .toSorted()
      .map(([name, n]) => `${name} ${n}`)
      .join(", ");
  const all = (values: readonly number[]): string =>
    [0.5, 0.9, 0.99, 1].map((share) => ms(quantile(values, share))).join(" / ");
  return [
    ["kills", figures.kills],
    ["lost", counts.lost],
    ["doubled", counts.doubled],
    ["orphans at the end", counts.orphans],
    ["other violations", counts.other],
    ["M6 p50 / p90 / p99 / max", `${all(effects)} (n ${effects.length}, budget 5000 ms)`],
    ["watched lives with nothing to do", figures.idle],
    ["orphans found", `${figures.orphans}: ${all(orphanMs)}`],
    ["surplus by a late landing", figures.surplus],
    ["calls held against the store", figures.effects],
    ["audit rows", figures.events],
    ["at rest after the churn", all(figures.restMs)],
    ["how they died", spread(figures.ways)],
    ["what happened meanwhile", spread(figures.acts)],
    ["classes, fleets", `${more.classes}, ${more.rounds}`],
    ["seconds", Math.round(more.seconds)],
    ["seed", more.seed],
  ];
}

/** Entries shown before a violation, and all after it that are about the same node. */
const EXCERPT = 30;

/** The violation with the journal entries and operation rows about its node. */
export function formatViolation(
  violation: Violation,
  judges: readonly CloudJudge[],
  operations: readonly OperationDoc[],
): string {
  const { rule, cloud, atMs, node, what } = violation;
  const lines = [`VIOLATED ${rule}${cloud === null ? "" : ` in cloud ${cloud}`}: ${what}`];
  lines.push(`  at ${new Date(atMs).toISOString()}, node ${node ?? "–"}`);
  for (const judge of judges) {
    if (cloud !== null && judge.setting.name !== cloud) continue;
    const about = judge.entries.filter((entry) => isAbout(JSON.stringify(entry), node, what));
    for (const entry of about.slice(-EXCERPT)) lines.push(`  journal  ${JSON.stringify(entry)}`);
  }
  for (const row of operations) {
    const about = row.node === node || what.includes(row.node);
    if (about) lines.push(`  row      ${JSON.stringify(row)}`);
  }
  return lines.join("\n");
}

/** Whether an entry names the node, or an instance that the violation names. */
function isAbout(entry: string, node: string | null, what: string): boolean {
  if (node !== null && entry.includes(`"${node}"`)) return true;
  const id = /"id":"([^"]+)"/.exec(entry)?.[1];
  return id !== undefined && what.split(/[\s,:]+/).includes(id);
}
