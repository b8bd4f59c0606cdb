/**
 * A node's side in Slurm, as stored. Only what outlives an observation is here: which jobs run is
 * live and never stored, so a busy queue writes no rows.
 */
import * as v from "valibot";
import { LIMIT } from "./limit.ts";
import { count, instant } from "./number.ts";

const text = v.string();

/** What tells which NodeName is whose, strongest first; host names are never guessed from. */
export const SLURM_MATCHES = ["alias", "slot", "host", "id"] as const;

/** Who took the node out of service in Slurm, by flag and reason. */
const SLURM_OWNERS = ["none", "own", "foreign"] as const;
export type SlurmOwner = (typeof SLURM_OWNERS)[number];

/** What others do to a node in Slurm that a repair must not overtake. */
const SLURM_ACTS = ["drain", "down", "reservation", "reboot"] as const;
export const SlurmAct = v.object({
  /** A drain; DOWN or FAIL; an active reservation with the flag MAINT; `scontrol reboot`. */
  kind: v.picklist(SLURM_ACTS),
  /** The user, as Slurm names it; `null` = unknown. */
  by: v.nullable(text),
  /** The reason given, or the reservation's name; `null` = none, or not read yet. */
  why: v.nullable(text),
});
export type SlurmAct = v.InferOutput<typeof SlurmAct>;

export const SlurmFact = v.object({
  /** Its NodeName. */
  name: text,
  by: v.picklist(SLURM_MATCHES),
  boundAt: instant,
  owner: v.picklist(SLURM_OWNERS),
  /** `foreign`, but by slurmctld itself: its node does not respond, or has less than declared. */
  byItself: v.nullish(v.boolean(), false),
  /** What others do there, at most one of each kind; what slurmctld does by itself is none. */
  others: v.nullish(v.pipe(v.array(SlurmAct), v.maxLength(SLURM_ACTS.length)), []),
  /** Their acts hold what cannot be taken back (`slurm.on_foreign_drain: hold`). */
  held: v.nullish(v.boolean(), false),
  /** Others wrote their reason over Navarch's drain, and it stands still. */
  takenOver: v.nullish(v.boolean(), false),
  /** `byItself`, since before the present machine registered: lifted once that is verified. */
  stale: v.nullish(v.boolean(), false),
  /** The flag DRAIN. */
  drain: v.boolean(),
  /** DOWN, FAIL or an invalid registration. */
  down: v.boolean(),
  /** A state of power saving. */
  power: v.boolean(),
  /** Its slurmd does not answer the controller. */
  silent: v.boolean(),
  /** An epilog runs; only followed while Navarch's own drain is set. */
  completing: v.boolean(),
  /** Cut at 256 characters; the text may outlive the drain. */
  reason: v.nullable(text),
  /** When Navarch's own drain was read back; `null` if it is not set. */
  markedAt: v.nullable(instant),
  /** BootTime when it was marked, or bound with a mark of its predecessor. */
  markedBoot: v.nullable(instant),
  /** Boot id of the machine's agent at that time: another one means a reboot or a new machine. */
  markedBootId: v.nullable(text),
  /** BootTime of its slurmd as the controller knows it. */
  bootTime: v.nullable(instant),
  /** When this BootTime was first read. */
  bootSeenAt: v.nullish(instant, null),
  /** When the drain was set again after power saving or another party removed it. */
  reassertedAt: v.nullable(instant),
  /** No mark is tried before this; how often in a row it was refused, and why last. */
  restUntil: instant,
  refusals: count,
  refusal: v.nullable(text),
  /** Since when a complete list no longer shows it; `null` while it is there. */
  absentSince: v.nullable(instant),
});
export type SlurmFact = v.InferOutput<typeof SlurmFact>;

/** What Slurm's power saving last told of slots of a pool (`slurm.power_save`). */
export const SlurmPower = v.pipe(
  v.array(
    v.object({
      slot: count,
      /** Resumed and not suspended since: the slot gets a machine. */
      on: v.boolean(),
      /** When that was told or seen. */
      at: instant,
      /** Machines from this generation on serve it. Slurm awaits a new boot, so older ones end. */
      gen: count,
      /** Why it got no machine: Slurm shows it DOWN until `until`. `times` in a row. */
      failure: v.nullable(v.object({ why: text, until: instant, times: count })),
    }),
  ),
  v.maxLength(LIMIT.slurmNamesMax),
);
export type SlurmPower = v.InferOutput<typeof SlurmPower>;
