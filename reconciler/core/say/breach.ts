/** The laws that a plan can break (`decide/lint.ts`), and how each breach is told. */
import { type CodeOf, sayFrom } from "./code.ts";
import { sayUnreached, type Unreached } from "./loss.ts";

/** `what`: the kind of the action or effect. */
type Step = { what: string; node: string };
type InSlurm = { what: string; name: string };

const BREACH = {
  two_actions: (p: { node: string }): string => `two actions for node ${p.node}`,
  admit_known: (p: { node: string }): string => `admit of ${p.node}, which exists`,
  two_admits: (p: { pool: string; slot: number }): string =>
    `two admits for slot ${p.pool}/${p.slot}`,
  admit_occupied: (p: { node: string; slot: number; by: string }): string =>
    `admit of ${p.node} into slot ${p.slot}, which ${p.by} still has`,
  no_node: (p: Step): string => `${p.what} of ${p.node}, which does not exist`,
  idle: (p: { node: string; phase: string }): string =>
    `${p.node} is ${p.phase} with neither action nor wait`,
  open: (p: Step & { operation: string }): string =>
    `${p.what} of ${p.node} while ${p.operation} is open`,
  gone: (p: Step): string => `${p.what} of ${p.node}, which is gone`,
  held: (p: Step): string => `${p.what} of ${p.node}, which a person holds`,
  blind: (p: Step & { why: readonly string[] }): string =>
    `${p.what} of ${p.node} while blind (${p.why.join("; ")})`,
  unreached: (p: Step & { why: Unreached }): string =>
    `${p.what} of ${p.node}: ${sayUnreached(p.why)}`,
  jobs_dark: (p: { name: string }): string => `jobs of ${p.name} are told while Slurm is dark`,
  jobs_early: (p: { node: string }): string => `jobs of ${p.node} are told before its drain`,
  jobs_theirs: (p: { name: string }): string =>
    `jobs of ${p.name} are told, which Navarch did not drain`,
  other_name: (p: InSlurm & { node: string }): string =>
    `${p.what} of ${p.name}, which is not ${p.node}'s`,
  slurm_dark: (p: InSlurm): string => `${p.what} of ${p.name} while Slurm is dark`,
  theirs_in_slurm: (p: InSlurm): string => `${p.what} of ${p.name}, which others hold in Slurm`,
  release_theirs: (p: { name: string }): string =>
    `release of ${p.name}, which Navarch did not drain`,
  release_early: (p: { name: string }): string => `release of ${p.name} before a new BootTime`,
  ends_theirs: (p: { node: string; purpose: string }): string =>
    `end of ${p.node} (${p.purpose}), which others hold in Slurm`,
  releases_owned: (p: { node: string; purpose: string }): string =>
    `release of ${p.node} (${p.purpose}), a machine that its operator owns`,
  ends_undrained: (p: { node: string; purpose: string }): string =>
    `terminating ${p.node} (${p.purpose}) before it is drained`,
  wrong_phase: (p: { node: string; phase: string }): string =>
    `terminate of ${p.node} in phase ${p.phase}`,
  other_instance: (p: { node: string; instance: string }): string =>
    `terminate of ${p.instance}, which is not ${p.node}'s instance`,
  bought_twice: (p: { node: string; phase: string }): string =>
    `create for ${p.node}, which is ${p.phase}`,
  mark_lifted: (p: { node: string }): string =>
    `the mark of ${p.node} is lifted while it is cordoned`,
  not_our_cordon: (p: { node: string }): string =>
    `uncordon of ${p.node}, which the product did not cordon`,
  cordoned_by_person: (p: Step): string => `${p.what} of ${p.node}, which a person cordoned`,
  drain_uncordoned: (p: { node: string }): string => `drain of ${p.node} before it is cordoned`,
  reboot_undrained: (p: { node: string }): string => `reboot of ${p.node}, which is not drained`,
  over_budget: (p: { pool: string; out: number; max: number }): string =>
    `pool ${p.pool}: ${p.out} slots out, at most ${p.max}`,
};
export type Breach = CodeOf<typeof BREACH>;

/** Of one pool's plan; `pool` `null`: nodes of none. */
export function sayBroken(pool: string | null, breaches: readonly Breach[]): string {
  const how = breaches.map((one) => sayFrom(BREACH, one)).join("; ");
  return `the plan of pool ${pool ?? "-"} breaks a law: ${how}`;
}
