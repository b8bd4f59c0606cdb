/**
 * The one entity. A Node is born when the plan decides to create it, before any cloud instance
 * exists, and ends `gone`. Its instance, its agent and (later) its scheduler objects are facts
 * *about* it, matched by identity that cannot be reused. This document is what the store keeps, one
 * row a node. All instants are wall-clock milliseconds; all durations end in `Ms`.
 */
import * as v from "valibot";
import { FindingHistory, HeldFinding } from "./held.ts";
import { BootId, InstanceId, NodeId, OperationId, PoolName, SessionId, StreamId } from "./id.ts";
import { FormerNames, KubeRefusal, Uncordons } from "./kube-past.ts";
import { LIMIT } from "./limit.ts";
import { amount, count, finite, instant } from "./number.ts";
import { VERDICTS } from "./policy.ts";
import { Inventory } from "./report.ts";
import { Waiver } from "./waiver.ts";

const text = v.string();

/** Why a node leaves; decides whether its slot is filled again. */
export const PURPOSES = [
  /** Its hardware failed: the slot gets a new node. */
  "replace",
  /** It is emptied to be repaired in place, and comes back. */
  "repair",
  /** The pool became smaller: the slot is given up. */
  "scale_down",
  /** A person asked. The slot is filled again unless the pool was made smaller. */
  "operator",
  /**
   * It never came up or failed its first check: the slot gets a new node, and the pool's guard
   * counts it.
   */
  "failed",
  /** The cloud handed back hardware that failed before (safety.md §9): its offer rests. */
  "lemon",
  /** An own instance that no slot wants. */
  "surplus",
  /** Someone else removed the instance: no hardware failure, the slot gets a new node. */
  "lost",
] as const;
export type Purpose = (typeof PURPOSES)[number];
const Purpose = v.picklist(PURPOSES);

export const Phase = v.variant("kind", [
  /** Decided, nothing bought. `notBefore` is the stored back-off after a refusal. */
  v.object({
    kind: v.literal("requested"),
    since: instant,
    attempt: count,
    notBefore: instant,
    refusal: v.nullable(text),
  }),
  /** The provider accepted; the instance is starting and no agent has spoken. */
  v.object({ kind: v.literal("booting"), since: instant }),
  /** Set-up over SSH is running. */
  v.object({ kind: v.literal("bootstrapping"), since: instant, attempt: count }),
  /** The agent registered; its first full check is open. Not schedulable. */
  v.object({ kind: v.literal("verifying"), since: instant }),
  /** Verified capacity. */
  v.object({ kind: v.literal("serving"), since: instant }),
  /** A session is open: evidence is held, the threshold or a budget is not reached yet. */
  v.object({ kind: v.literal("suspect"), since: instant }),
  /** Work is leaving. `deadlineAt` 0 = no limit; `drainedAt` is set when it is empty. */
  v.object({
    kind: v.literal("draining"),
    since: instant,
    deadlineAt: instant,
    drainedAt: v.nullable(instant),
    purpose: Purpose,
    /** Work was seen on it: from then on not knowing is not the same as empty. */
    sawWork: v.nullish(v.boolean(), false),
  }),
  /** A rung below replacement is being tried on this very instance. */
  v.object({
    kind: v.literal("repairing"),
    since: instant,
    rung: v.picklist(["gpu-reset", "reboot"]),
    /** The boot that was ended: whatever is still said under it is history. */
    bootId: v.nullish(text, null),
  }),
  /** `surge`: waits for its replacement to be verified before it drains. */
  v.object({ kind: v.literal("replacing"), since: instant, replacement: NodeId }),
  /** Ordered to end; billed until the cloud confirms. */
  v.object({
    kind: v.literal("terminating"),
    since: instant,
    purpose: Purpose,
    accepted: v.nullable(instant),
    notBefore: instant,
  }),
  /** The cloud confirmed it gone, or it never existed. */
  v.object({ kind: v.literal("gone"), since: instant, purpose: Purpose }),
  /** A person's. The product may put a node here; only a person takes it out. */
  v.object({ kind: v.literal("held"), since: instant, heldBy: text, why: text }),
]);
export type Phase = v.InferOutput<typeof Phase>;
export type PhaseKind = Phase["kind"];

/** A cordon has an owner; the product lifts only its own (law 10). */
export const Cordon = v.object({ by: text, why: text, at: instant });
export type Cordon = v.InferOutput<typeof Cordon>;

/** The cloud's side of a node. */
export const InstanceFact = v.object({
  id: InstanceId,
  provider: PoolName,
  state: v.picklist(["provisioning", "running", "stopped", "terminating", "terminated"]),
  region: v.nullable(text),
  zone: v.nullable(text),
  instanceType: text,
  internalIp: v.nullable(text),
  externalIp: v.nullable(text),
  pricePerHour: v.nullable(finite),
  boundAt: instant,
  /**
   * First complete listing, begun after `boundAt`, that did not show it; `null` while it is listed.
   */
  absentSince: v.nullable(instant),
  /** Complete listings in a row that did not show it: one missing row is a list's bad day. */
  absentListings: v.nullish(count, 0),
  /** The machine's SSH host keys as its provider tells them, OpenSSH's form; none = it does not. */
  hostKeys: v.optional(v.pipe(v.array(text), v.maxLength(16))),
  /**
   * Found in the cloud's list by its tags and older than this record: it may have served for long,
   * so nothing ends it that does not end a serving node.
   */
  adopted: v.optional(v.boolean()),
});
export type InstanceFact = v.InferOutput<typeof InstanceFact>;

/** The `tokenProblem` of one whose review is still to come: no reason for an alarm. */
export const TOKEN_UNCHECKED = "its pod token is not checked yet";

/**
 * Where an agent's reports come from, as this side saw it. What an agent says of itself can be
 * copied from any machine; these cannot, so they prove which Node object is its own.
 */
export const Origin = v.object({
  /** The socket's other end; `null` = none that names one machine, such as loopback. */
  address: v.nullable(text),
  /** A person's join token named this node (`--node`). */
  vouched: v.boolean(),
  /** The Node whose pod its bound service-account token is for, as the API server says. */
  pod: v.nullish(v.object({ node: text, uid: v.nullable(text) }), null),
  /** Why the token that it shows proves nothing; absent = it proves, or none was shown. */
  tokenProblem: v.nullish(text),
});
export type Origin = v.InferOutput<typeof Origin>;

/** The agent's side of a node, as last registered. */
export const AgentFact = v.object({
  bootId: BootId,
  stream: StreamId,
  version: text,
  simulated: v.boolean(),
  registeredAt: instant,
  /** Flushed with other changes, so it may lag; live presence is in memory. */
  lastHeartbeatAt: instant,
  inventory: Inventory,
  /** Absent in rows of a version that did not look. */
  origin: v.optional(Origin),
  /** Boot ids that it reported under before, see `fold/former-boot.ts`. */
  formerBoots: v.optional(v.pipe(v.array(BootId), v.maxLength(LIMIT.formerBootsMax))),
});
export type AgentFact = v.InferOutput<typeof AgentFact>;

export const Health = v.object({
  verdict: v.picklist(VERDICTS),
  /** Result of the newest evidence alone, without what is held. */
  lastReport: v.picklist(VERDICTS),
  /** Evidence that stays part of the verdict until something clears it (promise N47). */
  held: v.array(HeldFinding),
  /**
   * Evidence that does not count now, but would if the rules were others: of shadow and quarantined
   * rules, and what an older policy held. It is let go by the same signs as what is held.
   */
  aside: v.optional(v.pipe(v.array(HeldFinding), v.maxLength(LIMIT.heldFindingsMax))),
  /** What a forced uncordon dropped and checks still list: not asked for again. */
  dropped: v.optional(v.pipe(v.array(text), v.maxLength(LIMIT.droppedMax))),
  /** Policy and quarantine under which `held` and `aside` were last judged. */
  basis: v.optional(text),
  /** What windowed rules count. */
  history: FindingHistory,
  /** Consecutive unhealthy evaluations, at least 5 s apart; 0 on a healthy one (promise N66). */
  unhealthyRun: count,
  lastCountedAt: instant,
  lastCheckAt: v.nullable(instant),
  lastCheckClean: v.boolean(),
  /** Since when heartbeats are missing, by the control plane's own clock; `null` while heard. */
  silentSince: v.nullable(instant),
});
export type Health = v.InferOutput<typeof Health>;

/** What is known of the node's set-up over SSH. */
export const BootstrapFact = v.object({
  /** Attempts that ended. */
  attempts: count,
  doneAt: v.nullable(instant),
  /** Why the last attempt failed. */
  error: v.nullable(text),
  /** The machine is not the one it was, or nothing that is tried again can help. */
  final: v.boolean(),
  /** The host key that was accepted first, base64 of its wire form. */
  hostKey: v.nullable(text),
  /** No attempt begins before this: the stored back-off after one that failed. */
  notBefore: v.optional(instant),
});
export type BootstrapFact = v.InferOutput<typeof BootstrapFact>;

/** One repair of this node. Everything done for it carries `id`, and a closed one acts no more. */
export const Session = v.object({
  id: SessionId,
  openedAt: instant,
  bootId: v.nullable(BootId),
  instanceId: v.nullable(InstanceId),
  reasons: v.array(text),
  /** How often each rung was tried in this repair. */
  attempts: v.nullish(v.record(text, count), {}),
  /** True once evidence came that cannot pass by itself: isolation skips the threshold. */
  definitive: v.boolean(),
  /** The leader's epoch when it was opened; 0 in rows older than epochs, and before its commit. */
  epoch: v.nullish(count, 0),
});
export type Session = v.InferOutput<typeof Session>;

/** Which identity tied a node to its object in Kubernetes, strongest first. */
export const KUBE_MATCHES = [
  "provider_id",
  "token",
  "metadata",
  "system_uuid",
  "agent_name",
  "ip",
] as const;

/** What proved it: nothing of it is the agent's own word. */
export const KUBE_PROOFS = ["instance", "token", "operator", "address"] as const;
export type KubeProof = (typeof KUBE_PROOFS)[number];

/** The node's object in Kubernetes, matched by identity and never by a name that may be reused. */
export const KubeFact = v.object({
  name: text,
  /** A changed UID is a new object: nothing that was written on the old one is on it. */
  uid: text,
  by: v.picklist(KUBE_MATCHES),
  /** Absent in rows of a version that asked for no proof. */
  proof: v.optional(v.picklist(KUBE_PROOFS)),
  boundAt: instant,
  /** Work may not be placed on it, whoever said so. */
  unschedulable: v.boolean(),
  /** Others who hold it unschedulable; their mark is never lifted. */
  others: v.pipe(v.array(text), v.maxLength(16)),
  /** UID of the object on which the product's own mark was read back; `null` = on none. */
  isolatedUid: v.nullable(text),
  /** When the mark was set once more after a person had lifted it (`on_uncordon: enforce`). */
  reassertedAt: v.nullable(instant),
  /** The product has a share in the mark, whether or not the record knows why. */
  own: v.boolean(),
  /** Its annotations are still there without a share in the mark: someone uncordoned the Node. */
  noted: v.optional(v.boolean()),
  /** The kernel's boot id as the kubelet tells it: who speaks for the machine knows it too. */
  bootId: v.nullable(text),
  /** What the Ready condition says where it is not `True`, as `False (KubeletNotReady)`. */
  notReady: v.nullish(text, null),
  /** GPUs that its device plugin offers; `null` = it has not said. */
  gpus: v.nullish(count, null),
  /** `navarch.dev/hold` is set: hands off. */
  hold: v.boolean(),
  /** Its value, where that is neither yes nor no: it holds, and people are told. */
  holdUnclear: v.optional(v.nullable(text)),
  /** No mark is tried before this; how often in a row it was refused. */
  restUntil: instant,
  refusals: count,
  /** Why the API server last refused to mark or unmark it, and since when; `null` = it does not. */
  refusal: v.optional(v.nullable(KubeRefusal)),
  /** Names under which the machine's earlier objects were known, newest first, until `at`. */
  former: v.optional(FormerNames),
  /** When others took our mark off it, as far as it is remembered. */
  uncordons: v.optional(Uncordons),
  /** Since when a complete list no longer shows the object; `null` while it is there. */
  absentSince: v.nullable(instant),
  /** When people were told that it stays away; absent until then, and once it is back. */
  missedAt: v.optional(instant),
});
export type KubeFact = v.InferOutput<typeof KubeFact>;

export const Node = v.object({
  id: NodeId,
  /** `null`: an agent that matches no instance of ours; listed under no pool, never bought for. */
  pool: v.nullable(PoolName),
  /** When a machine that nobody bought last came under its pool; absent in older rows. */
  pooledAt: v.optional(instant),
  /** Place in the pool, and which occupant of it; `gen` is unique within the pool for ever. */
  slot: v.nullable(count),
  gen: count,
  createdAt: instant,
  phase: Phase,
  /** Set while work must not be placed on the node, one entry an owner. */
  cordon: v.object({ product: v.nullable(Cordon), human: v.nullable(Cordon) }),
  instance: v.nullable(InstanceFact),
  agent: v.nullable(AgentFact),
  health: Health,
  session: v.nullable(Session),
  /** Sessions ever opened: makes session ids unique. */
  sessions: count,
  /**
   * Grows with every intended effect and every refusal; the target refuses an older one (law 5).
   */
  fence: count,
  /** No effect is tried before this: the stored back-off after a refusal by a scheduler. */
  restUntil: instant,
  /** The one open operation, if any. */
  operation: v.nullable(OperationId),
  /** What a person ordered and the plan has still to carry out, step by step. */
  order: v.nullable(
    v.object({
      goal: v.picklist(["drain", "terminate", "replace"]),
      by: text,
      why: text,
      /** Skip the drain. */
      force: v.boolean(),
      at: instant,
      timeoutMs: v.nullable(amount),
    }),
  ),
  /** The node whose place this one takes. */
  replaces: v.nullable(NodeId),
  /** When the product last cordoned it for its health: what the isolation budget counts. */
  isolatedAt: v.nullish(instant, null),
  /** The repair before the open one: a burst is counted by sessions, closed ones too. */
  lastSession: v.nullish(
    v.object({ id: SessionId, openedAt: instant, closedAt: instant, how: text }),
    null,
  ),
  /** When the product last rebooted it: a fault that is back within a day is not rebooted away. */
  rebootedAt: v.nullish(instant, null),
  /** The offer it was bought at, `<provider>/<region>/<zone>/<type>`: what its boot proves. */
  offer: v.nullish(text, null),
  kube: v.nullish(KubeFact, null),
  /** When a person took back the product's word that a smaller pool can spare it. */
  sparedAt: v.nullish(instant, null),
  waiver: v.nullish(Waiver, null),
  /** `null` = its set-up never ended, or none was needed. */
  bootstrap: v.nullish(BootstrapFact, null),
});
export type Node = v.InferOutput<typeof Node>;

/** Whether a phase means that the node is on its way out. */
export function isLeaving(phase: Phase): boolean {
  return phase.kind === "draining" || phase.kind === "terminating" || phase.kind === "gone";
}

/** The durable side of a pool: what people and history decided, as opposed to its configuration. */
export const PoolState = v.object({
  name: PoolName,
  /** Wanted size; clamped into min…max of the configuration when it is read. */
  desired: count,
  desiredBy: text,
  desiredAt: instant,
  /** Next generation number: never reused, so a node id never names two machines. */
  nextGen: count,
  /** Automation paused by a person. */
  hold: v.nullable(v.object({ by: text, why: text, until: instant })),
  /** Why no machine can be set up, through no fault of any: a person has to mend it. */
  unready: v.optional(v.nullable(v.object({ why: text, since: instant }))),
  /** Consecutive nodes that never came up, wherever they were bought. */
  failures: count,
  /** Whether nodes come up, by offer and set-up (safety.md §7); outcomes: true = verified. */
  guards: v.nullish(
    v.record(
      text,
      v.object({
        failures: count,
        outcomes: v.array(v.boolean()),
        notBefore: instant,
        at: instant,
      }),
    ),
    {},
  ),
  /** Changes of the size that were asked with a key: the same one again changes nothing. */
  asked: v.nullish(
    v.pipe(v.array(v.object({ key: text, what: text, at: instant })), v.maxLength(LIMIT.askedMax)),
    [],
  ),
  /** When the autoscaler last changed the size: what its cooldown counts from. */
  lastScaleAt: v.nullish(instant, null),
  /** The queue as last reported from outside; `observedAt` is never ahead of our own clock. */
  demand: v.nullish(
    v.object({ pendingJobs: count, queueDepth: count, observedAt: instant, by: text }),
    null,
  ),
  /** Back-off per offer `<provider>/<region>/<zone>/<type>` (config.md §6). */
  offers: v.record(
    text,
    v.object({ failures: count, notBefore: instant, class: text, message: text }),
  ),
});
export type PoolState = v.InferOutput<typeof PoolState>;
