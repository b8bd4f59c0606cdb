/**
 * What came of a call: the texts that events, closed operations and the audit of marks keep. `said`
 * is a cloud's, a scheduler's or a machine's own text.
 */
import { type CodeOf, sayFrom } from "./code.ts";

/** `who` `null`: its agent. */
type Reboot = { who: string | null; instance: string };

const OUTCOME = {
  // What began, or is done.
  bought: (p: { instance: string; provider: string }): string =>
    `instance ${p.instance} at ${p.provider} is starting`,
  reboots: (p: Reboot): string => `${p.who ?? "its agent"} reboots instance ${p.instance}`,
  set_up: (p: { address: string; attempt: number }): string =>
    `set up at ${p.address}, attempt ${p.attempt}`,
  drain_asked: "asked to drain",
  jobs_told: (p: { name: string; said: string | null }): string =>
    `${p.name}: ${p.said ?? "its jobs were told"}`,
  end_accepted: (p: { provider: string; instance: string }): string =>
    `${p.provider} accepted the end of instance ${p.instance}`,
  end_unknown: (p: { provider: string; instance: string }): string =>
    `${p.provider} knows no instance ${p.instance}: it counts as ended once the lists lack it too`,
  host_released: (p: { host: string }): string => `host ${p.host} is released`,
  marked: (p: { why: string }): string => `marked in Kubernetes: ${p.why}`,
  slurm_drained: (p: { name: string; reason: string | null }): string =>
    `${p.name} is drained in Slurm: ${p.reason}`,
  slurm_released: (p: { name: string; why: string }): string =>
    `${p.name} is released in Slurm: ${p.why}`,
  found_listed: "found in a listing",
  came_up: "it came up again",
  replaced: (p: { by: string }): string => `replaced by ${p.by}, which is verified and serving`,
  // What was refused, or is not known.
  refused: (p: { what: string; class: string; said: string }): string =>
    `${p.what} refused (${p.class}): ${p.said}`,
  kube_refused: (p: { what: string; node: string; said: string }): string =>
    `Kubernetes does not ${p.what} Node ${p.node}: ${p.said}`,
  slurm_refused: (p: { what: string; name: string; said: string }): string =>
    `Slurm does not ${p.what} ${p.name}: ${p.said}`,
  slurm_foreign: (p: { name: string }): string =>
    `${p.name} is out of service in Slurm by others: left unchanged`,
  /** Of a mark. */
  foreign: "out of service by others: left unchanged",
  set_up_ended: (p: { attempt: number; isOver: boolean; said: string }): string =>
    `attempt ${p.attempt} ${p.isOver ? "failed" : "waits"}: ${p.said}`,
  never_ran: (p: { instance: string; said: string }): string =>
    `instance ${p.instance} was accepted and never ran: ${p.said}`,
  boot_shows: (p: { said: string }): string => `${p.said}: its boot id will show it`,
  not_marked: "it was not marked",
  not_confirmed: "not confirmed: the list shows otherwise",
  no_answer: "no answer",
  // What is not asked for any more.
  given_up: "given up",
  overruled: "overtaken by a person's order before it was answered",
  overtaken: "overtaken before it was answered",
  withdrawn: "withdrawn: its node is in service in Slurm again",
  set_up_cancelled: "cancelled: its node leaves",
  restored_call: "restored from a backup: not asked for again",
  restored_order: "restored from a backup: give the order again if it still holds",
  restored_node:
    "restored from a backup: a person decides what becomes of its unfinished operations",
};

export const sayOutcome = (outcome: CodeOf<typeof OUTCOME>): string => sayFrom(OUTCOME, outcome);
