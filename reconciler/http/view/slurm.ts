/** A node's side in Slurm as the HTTP API and `explain` show it, and who holds it in each. Pure. */
import { countOf } from "../../../schema/article.ts";
import type { NodeSinksView, SlurmNodeView } from "../../../schema/api.ts";
import type { Node } from "../../../schema/node.ts";
import type { SlurmFact } from "../../../schema/slurm.ts";
import { stateOf } from "../../core/slurm/left.ts";
import type { SlurmJob, SlurmNode } from "../../core/slurm/object.ts";
import { sayActs } from "../../core/say/hold.ts";

/** What the controller last said of the node; `null` = there is no Slurm. */
export type SlurmLive = {
  dark: string | null;
  /** Why nothing is done about its NodeName. */
  ambiguous: string | null;
  row: SlurmNode | null;
  jobs: readonly SlurmJob[];
} | null;

const JOBS_SHOWN_MAX = 20;

export function viewSlurm({ slurm }: Node, live: SlurmLive): SlurmNodeView | null {
  if (slurm === null || live === null) return null;
  return {
    name: slurm.name,
    matched_by: slurm.by,
    state: live.row === null || live.dark !== null ? null : stateOf(live.row),
    owner: ownerIn(slurm, live),
    reason: live.row?.reason ?? slurm.reason,
    reason_by: live.row?.reasonBy ?? null,
    drained_at: isoOf(slurm.drain ? slurm.markedAt : null),
    boot_time: isoOf(slurm.bootTime),
    absent_since: isoOf(slurm.absentSince),
    unknown: live.ambiguous ?? live.dark,
    refusal: slurm.refusals === 0 ? null : slurm.refusal,
    jobs: live.jobs.slice(0, JOBS_SHOWN_MAX).map(({ id, state, user, name, gpus }) => {
      return { id, state, user, name, gpus };
    }),
  };
}

const isoOf = (at: number | null): string | null =>
  at === null ? null : new Date(at).toISOString();

/** What is not known now is `unknown`, whatever was known before. */
function ownerIn(slurm: SlurmFact, live: NonNullable<SlurmLive>): SlurmNodeView["owner"] {
  const isUnknown = live.dark !== null || live.ambiguous !== null || slurm.absentSince !== null;
  return isUnknown ? "unknown" : slurm.byItself ? "slurm" : slurm.owner;
}

/** Who holds the node out of service in each scheduler; `null` = it is not in that one. */
export function viewSinks(node: Node, live: SlurmLive, isKubeDark: boolean): NodeSinksView {
  const { kube, slurm } = node;
  const isIn = kube !== null && kube.absentSince === null;
  const inKube = isKubeDark
    ? "unknown"
    : kube?.isolatedUid === kube?.uid
      ? "own"
      : kube?.unschedulable === true
        ? "foreign"
        : "none";
  return {
    kubernetes: isIn ? inKube : null,
    slurm: slurm === null || live === null ? null : ownerIn(slurm, live),
  };
}

/** For `explain`: empty without a side in Slurm. */
export function saySlurm(node: Node, live: SlurmLive): string[] {
  const { slurm } = node;
  if (live === null) return [];
  if (live.ambiguous !== null) return [`in Slurm nothing is done: ${live.ambiguous}`];
  if (slurm === null) return [];
  const { name } = slurm;
  const state = live.row === null ? "unknown" : stateOf(live.row);
  const why = slurm.reason ?? "without a reason";
  const held = {
    none: "in service",
    own: `held by navarch (${slurm.reason})`,
    foreign: `held by ${slurm.byItself ? "Slurm itself" : "others"} (${why})`,
  }[slurm.owner];
  const ids = live.jobs.slice(0, JOBS_SHOWN_MAX).map(({ id }) => id);
  // A node that was read on its own may be newer than the list of jobs.
  const isBusy = live.row !== null && /^(MIXED|ALLOCATED)$/.test(live.row.base);
  const none = isBusy ? "jobs not listed yet" : "no jobs";
  const jobs = ids.length === 0 ? none : `jobs ${ids.join(", ")}`;
  const side = `${state}, ${held}, ${jobs}`;
  if (live.dark !== null) {
    // A new process has no list yet.
    const last = live.row === null ? "" : `; last seen ${side}`;
    return [`${name} in Slurm is unknown: ${live.dark}${last}`];
  }
  if (slurm.absentSince !== null) {
    return [`${name} is no longer listed by Slurm since ${isoOf(slurm.absentSince)}`];
  }
  const acts = sayActs(slurm.others);
  const waits = slurm.held ? "its repair waits for it" : "slurm.on_foreign_drain: repair";
  const others = acts === "" ? [] : [`${name} is ${acts}: ${waits}`];
  const refused =
    slurm.refusals === 0
      ? []
      : [`Slurm refused ${countOf(slurm.refusals, "time")}: ${slurm.refusal}`];
  return [`${name} in Slurm is ${side}`, ...others, ...refused];
}
