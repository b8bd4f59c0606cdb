/**
 * An operation: an intent with a frozen payload, committed before its call, and closed in the
 * transaction that commits the outcome (law 4). While it is `asked`, payload and token do not
 * change (invariant I11).
 */
import * as v from "valibot";
import { PROVIDER_TYPES } from "./config/provider.ts";
import { CordonCause } from "./cordon.ts";
import { InstanceId, NodeId, OperationId, PoolName, SessionId } from "./id.ts";
import { PURPOSES } from "./node.ts";
import { count, finite, instant } from "./number.ts";
import { MachineSettings, MARKETS } from "./purchase.ts";

const text = v.string();

/** What is sent, as data: a repetition after a crash sends the same bytes. */
export const Payload = v.variant("kind", [
  v.object({
    kind: v.literal("create"),
    provider: PoolName,
    /** The provider's type and account when it was requested; absent where not known. */
    type: v.optional(v.picklist(PROVIDER_TYPES)),
    account: v.optional(text),
    offer: text,
    /** Key of the boot guard (`safety/guard.ts`). */
    guard: v.nullish(text, null),
    /** Dollars an hour when it was requested; an unanswered request counts with it. */
    pricePerHour: v.nullish(finite, null),
    request: v.object({
      token: text,
      name: text,
      nodeId: text,
      region: v.nullable(text),
      zone: v.nullable(text),
      instanceType: text,
      market: v.nullish(v.picklist(MARKETS), "on-demand"),
      reservation: v.nullish(text, null),
      tags: v.record(text, text),
      sshKeys: v.array(text),
      /** What the pool set over the provider's settings; absent = nothing. */
      settings: v.optional(MachineSettings),
    }),
  }),
  v.object({ kind: v.literal("terminate"), provider: PoolName, instanceId: InstanceId }),
  /**
   * Set-up over SSH; a repetition continues at the marks on the machine. `values` are the template
   * variables that the plan knows.
   */
  v.object({
    kind: v.literal("bootstrap"),
    /** From 1. */
    attempt: count,
    instanceId: InstanceId,
    address: text,
    port: count,
    user: text,
    keyPath: v.nullable(text),
    /** `first-use`, `provider`, `known_hosts:<path>`, `insecure`. */
    hostKey: text,
    /** Host keys that the machine must have, as its provider reports or as first seen. */
    hostKeys: v.array(text),
    jump: v.nullable(text),
    become: v.picklist(["auto", "always", "never"]),
    pushAgent: v.boolean(),
    commands: v.array(text),
    values: v.record(text, text),
    sshTimeoutMs: count,
    sshConnectTimeoutMs: count,
    commandTimeoutMs: count,
  }),
  /** Reboot the machine; `bootId` is the boot that must have ended afterwards. */
  v.object({
    kind: v.literal("reboot"),
    provider: PoolName,
    instanceId: InstanceId,
    bootId: v.nullable(text),
    /** The machine's agent carries it out, by a signed order; absent = the provider. */
    by: v.optional(v.literal("agent")),
  }),
  /**
   * Marks unschedulable. `mirror`: only in the schedulers. `again`: by `on_uncordon: enforce`.
   * `slurm`: the node's name and the reason of its drain there; `only`: not in Kubernetes.
   */
  v.object({
    kind: v.literal("cordon"),
    why: text,
    /** Missing in a mirrored cordon, and in rows of releases that had none. */
    cause: v.optional(CordonCause),
    mirror: v.optional(v.boolean()),
    again: v.optional(v.boolean()),
    slurm: v.optional(v.object({ name: text, reason: text })),
    only: v.optional(v.literal("slurm")),
  }),
  /** `keep`: the scheduler's mark stays, because a person's cordon holds. `mirror` as above. */
  v.object({
    kind: v.literal("uncordon"),
    why: text,
    keep: v.optional(v.boolean()),
    mirror: v.optional(v.boolean()),
    /**
     * The name in Slurm alone: its release waits for a new boot (`decide/slurm.ts`). `down`: lifts
     * DOWN too, which Slurm set on the drained node itself.
     */
    slurm: v.optional(
      v.object({ name: text, down: v.optional(v.boolean()), lifts: v.optional(text) }),
    ),
  }),
  /** Evict the workload. `gracePeriodMs` −1 = each pod's own. */
  v.object({
    kind: v.literal("drain"),
    purpose: v.picklist(PURPOSES),
    deadlineAt: instant,
    gracePeriodMs: finite,
    force: v.boolean(),
  }),
  /**
   * Requeues the jobs of a NodeName in Slurm (`signal` null), or sends them the signal: at the
   * deadline of the node's drain, and only where they still run there.
   */
  v.object({
    kind: v.literal("end_jobs"),
    slurm: text,
    signal: v.nullable(text),
    jobs: v.array(text),
  }),
]);
export type Payload = v.InferOutput<typeof Payload>;
export type OperationKind = Payload["kind"];

export const OPERATION_STATES = [
  /** Intended; the call may have been sent. Resolved by repeating it or by a lookup. */
  "asked",
  /** The target confirmed. */
  "done",
  /** The target proved that it did nothing. */
  "refused",
  /** Obsolete: the subject is gone. */
  "abandoned",
] as const;

export const Operation = v.object({
  id: OperationId,
  node: NodeId,
  pool: v.nullable(PoolName),
  session: v.nullable(SessionId),
  /** The node's fence when it was intended. */
  fence: count,
  /** The leader's epoch when it was intended; 0 in rows older than epochs. */
  epoch: v.nullish(count, 0),
  payload: Payload,
  state: v.picklist(OPERATION_STATES),
  askedAt: instant,
  /** Purchases whose call is repeated move `askedAt`; this is the first. Absent = the same. */
  firstAskedAt: v.optional(instant),
  /** Not called before this: the stored back-off. */
  notBefore: instant,
  /** Calls made, or possibly made. */
  attempts: count,
  /** Complete listings after the settle time without the instance (tag-only providers). */
  lookups: count,
  closedAt: v.nullable(instant),
  message: v.nullable(text),
  because: v.array(text),
  /** Its drain in Slurm is in the audit, and the call is repeated for Kubernetes alone. */
  recorded: v.optional(v.boolean()),
});
export type Operation = v.InferOutput<typeof Operation>;
