/**
 * Schemas of a Node, the central entity, from the decision to buy it to `gone`. Instance, agent and
 * scheduler objects are facts about it, by identities that are not reused. Instants are wall ms.
 */
import * as v from "valibot";
import { WorkerFact } from "./agentpool.ts";
import { BootstrapFact } from "./bootstrap.ts";
import { OwnedHost } from "./claim.ts";
import { PROVIDER_TYPES } from "./config/provider.ts";
import { Cordon } from "./cordon.ts";
import { InstanceCost } from "./cost.ts";
import { FindingHistory, HeldFinding } from "./held.ts";
import { BootId, InstanceId, NodeId, OperationId, PoolName, SessionId, StreamId } from "./id.ts";
import { FormerNames, KubeRefusal, OUT_OF_CLUSTER, Uncordons } from "./kube-past.ts";
import { LIMIT } from "./limit.ts";
import { amount, count, finite, instant } from "./number.ts";
import { VERDICTS } from "./policy.ts";
import { FailedPurchase, Guards, MARKETS, Notice } from "./purchase.ts";
import { Inventory } from "./report.ts";
import { RmaRecord } from "./rma.ts";
import { SlurmFact, SlurmPower } from "./slurm.ts";
import { Suppression } from "./suppression.ts";
import { ReportedQueue, ScalingDecision } from "./scaling.ts";

const text = v.string();

/** Why a node leaves; decides whether its slot is filled again. */
export const PURPOSES = [
  /** Its hardware failed: the slot gets a new node. */
  "replace",
  /** It is drained for a repair in place and returns. */
  "repair",
  /** The pool became smaller: the slot is given up. */
  "scale_down",
  /** A person requested it. The slot is filled again unless the pool was made smaller. */
  "operator",
  /** It never came up or failed its first check: replaced, and counted by the pool's guard. */
  "failed",
  /** The cloud returned hardware that failed before: its offer is backed off. */
  "lemon",
  /** An instance of this fleet that no slot needs. */
  "surplus",
  /** The instance was removed outside Navarch: the slot gets a new node. */
  "lost",
  /** The cloud announced its end: another node is bought at once, in another slot. */
  "preempted",
] as const;
export type Purpose = (typeof PURPOSES)[number];
const Purpose = v.picklist(PURPOSES);

export const Phase = v.variant("kind", [
  /** Decided, not yet bought. `notBefore` is the stored back-off after a refusal. */
  v.object({
    kind: v.literal("requested"),
    since: instant,
    attempt: count,
    notBefore: instant,
    refusal: v.nullable(text),
    /** The same in parts; missing in older rows. */
    refused: v.optional(v.object({ class: text, message: text })),
  }),
  /** The provider accepted; the instance is starting and no agent has reported. */
  v.object({ kind: v.literal("booting"), since: instant }),
  /** Set-up over SSH is running. */
  v.object({ kind: v.literal("bootstrapping"), since: instant, attempt: count }),
  /** The agent registered; its first full check is open. Not schedulable. */
  v.object({ kind: v.literal("verifying"), since: instant }),
  /** Verified capacity. */
  v.object({ kind: v.literal("serving"), since: instant }),
  /** A session is open: evidence is held, the threshold or a budget is not reached yet. */
  v.object({ kind: v.literal("suspect"), since: instant }),
  /** Draining. `deadlineAt` 0 = no limit; `drainedAt` is set once it is empty. */
  v.object({
    kind: v.literal("draining"),
    since: instant,
    deadlineAt: instant,
    drainedAt: v.nullable(instant),
    purpose: Purpose,
    /** Work was seen on it; from then on "unknown" does not count as empty. */
    sawWork: v.nullish(v.boolean(), false),
    /** No work was left when it ended; else some was, or it is not known. */
    emptied: v.optional(v.boolean()),
    /** When its jobs in Slurm were requeued or signalled. */
    jobsToldAt: v.optional(instant),
  }),
  /** A repair step below replacement is in progress on this instance. */
  v.object({
    kind: v.literal("repairing"),
    since: instant,
    rung: v.picklist(["gpu-reset", "reboot"]),
    /** The boot that was ended; its reports are history. */
    bootId: v.nullish(text, null),
    /** Id of the agent's order; absent = the provider reboots it. */
    order: v.optional(text),
  }),
  /** `surge`: waits until its replacement is verified before it drains. */
  v.object({ kind: v.literal("replacing"), since: instant, replacement: NodeId }),
  /** Termination requested; billed until the cloud confirms it. */
  v.object({
    kind: v.literal("terminating"),
    since: instant,
    purpose: Purpose,
    accepted: v.nullable(instant),
    notBefore: instant,
    /** Why the cloud last refused; absent = it did not. */
    refusal: v.optional(text),
  }),
  /** The cloud confirmed it gone, or it never existed. */
  v.object({ kind: v.literal("gone"), since: instant, purpose: Purpose }),
  /** Waits for a person. Navarch may put a node here; only a person releases it. */
  v.object({
    kind: v.literal("held"),
    since: instant,
    heldBy: text,
    why: text,
    /** For the vendor, when broken hardware of the operator's own is held. */
    rma: v.optional(RmaRecord),
  }),
]);
export type Phase = v.InferOutput<typeof Phase>;

/** The cloud's side of a node. */
export const InstanceFact = v.object({
  id: InstanceId,
  provider: PoolName,
  state: v.picklist(["provisioning", "running", "stopped", "terminating", "terminated"]),
  /** The provider's type, and the account; absent where they are not known. */
  type: v.optional(v.picklist(PROVIDER_TYPES)),
  account: v.optional(text),
  region: v.nullable(text),
  zone: v.nullable(text),
  instanceType: text,
  internalIp: v.nullable(text),
  externalIp: v.nullable(text),
  pricePerHour: v.nullable(finite),
  boundAt: instant,
  /** First complete listing after `boundAt` without it; `null` while it is listed. */
  absentSince: v.nullable(instant),
  /** Consecutive complete listings without it; one alone proves nothing. */
  absentListings: v.nullish(count, 0),
  /** When a list, or the purchase, first showed it running; absent before, and in older rows. */
  runningAt: v.optional(instant),
  /** SSH host keys as the provider reports them, in OpenSSH's format; empty if unknown. */
  hostKeys: v.optional(v.pipe(v.array(text), v.maxLength(16))),
  /** As it was bought; absent if this store has no record of the purchase. */
  market: v.optional(v.picklist(MARKETS)),
  /** The operator owns it: it is never ended or replaced, only claimed and released. */
  host: v.optional(OwnedHost),
  /** Why the cloud ended the purchase before it ran; absent if it did not. */
  failure: v.optional(FailedPurchase),
  /** What the cloud announced. */
  notice: v.optional(Notice),
  /** Adopted by its tags and older than this record: it may have served for long. */
  adopted: v.optional(v.boolean()),
  /** Absent in older rows: billed from `boundAt`. */
  cost: v.optional(InstanceCost),
});
export type InstanceFact = v.InferOutput<typeof InstanceFact>;

/** The `tokenProblem` of a token that is still to be reviewed; it raises no alarm. */
export const TOKEN_UNCHECKED = "its pod token is not checked yet";

/** Where an agent's reports come from, as observed here; proves which Node object is its own. */
export const Origin = v.object({
  /** The peer address of the socket; `null` if it identifies no machine, such as loopback. */
  address: v.nullable(text),
  /** A person's join token named this node (`--node`). */
  vouched: v.boolean(),
  /** The Node whose pod its bound service-account token is for, as the API server says. */
  pod: v.nullish(v.object({ node: text, uid: v.nullable(text) }), null),
  /** Why its token proves nothing; absent if it proves the Node or none was presented. */
  tokenProblem: v.nullish(text),
  /** The pod that joined with its own token, and its AgentPool; absent for machines. */
  worker: v.nullish(WorkerFact),
});
export type Origin = v.InferOutput<typeof Origin>;

/** The agent's side of a node, as last registered. */
export const AgentFact = v.object({
  bootId: BootId,
  stream: StreamId,
  version: text,
  simulated: v.boolean(),
  registeredAt: instant,
  /** Written with other changes, so it may lag; live presence is in memory. */
  lastHeartbeatAt: instant,
  inventory: Inventory,
  /** Absent in older rows. */
  origin: v.optional(Origin),
  /** Boot ids and streams of its earlier reports (`fold/former-boot.ts`), and their last return. */
  formerBoots: v.optional(v.pipe(v.array(BootId), v.maxLength(LIMIT.formerBootsMax))),
  formerStreams: v.optional(v.pipe(v.array(StreamId), v.maxLength(LIMIT.formerBootsMax))),
  sharedAt: v.optional(instant),
  /** What the cloud announced to the machine itself in this boot, and of which instance. */
  notice: v.optional(v.object({ ...Notice.entries, instanceId: v.nullable(InstanceId) })),
});
export type AgentFact = v.InferOutput<typeof AgentFact>;

export const Health = v.object({
  verdict: v.picklist(VERDICTS),
  /** Result of the newest evidence alone, without held evidence. */
  lastReport: v.picklist(VERDICTS),
  /** Evidence that stays part of the verdict until something clears it. */
  held: v.array(HeldFinding),
  /** Evidence of shadow and suspended rules and of an older policy; the same signs clear it. */
  aside: v.optional(v.pipe(v.array(HeldFinding), v.maxLength(LIMIT.heldFindingsMax))),
  /** What a forced uncordon dropped and checks still report; it opens no new session. */
  dropped: v.optional(v.pipe(v.array(text), v.maxLength(LIMIT.droppedMax))),
  /** Policy and suspended rules under which `held` and `aside` were last judged. */
  basis: v.optional(text),
  history: FindingHistory,
  /** Consecutive unhealthy evaluations, at least 5 s apart; 0 on a healthy one. */
  unhealthyRun: count,
  lastCountedAt: instant,
  lastCheckAt: v.nullable(instant),
  lastCheckClean: v.boolean(),
  /** Since when heartbeats are missing, by the control plane's clock; `null` while they arrive. */
  silentSince: v.nullable(instant),
});
export type Health = v.InferOutput<typeof Health>;

/** One repair of this node; its actions carry `id`. */
export const Session = v.object({
  id: SessionId,
  openedAt: instant,
  bootId: v.nullable(BootId),
  instanceId: v.nullable(InstanceId),
  reasons: v.array(text),
  /** How often each step was tried in this repair. */
  attempts: v.nullish(v.record(text, count), {}),
  /** Why the agent did not carry out the order to reboot. */
  refused: v.optional(text),
  /** Evidence of a permanent fault: isolation skips the threshold. */
  definitive: v.boolean(),
  /** The leader's epoch when it was opened; 0 in rows older than epochs and before its commit. */
  epoch: v.nullish(count, 0),
});
export type Session = v.InferOutput<typeof Session>;

/** Which identity matched a node with its object in Kubernetes, strongest first. */
export const KUBE_MATCHES = [
  "provider_id",
  "token",
  "metadata",
  "system_uuid",
  "agent_name",
  "ip",
] as const;

/** What proved it; an agent's claims are not enough. */
export const KUBE_PROOFS = ["instance", "token", "operator", "address"] as const;
export type KubeProof = (typeof KUBE_PROOFS)[number];

/** The node's object in Kubernetes, matched by identity: names may be reused. */
export const KubeFact = v.object({
  name: text,
  /** A changed UID is a new object without any of our marks. */
  uid: text,
  by: v.picklist(KUBE_MATCHES),
  /** Absent in older rows. */
  proof: v.optional(v.picklist(KUBE_PROOFS)),
  boundAt: instant,
  unschedulable: v.boolean(),
  /** Other owners that hold it unschedulable; their mark is never lifted. */
  others: v.pipe(v.array(text), v.maxLength(16)),
  /** UID of the object on which Navarch's mark was read back; `null` if on none. */
  isolatedUid: v.nullable(text),
  /** When the mark was set again after a person had lifted it (`on_uncordon: enforce`). */
  reassertedAt: v.nullable(instant),
  /** Navarch has a share in the mark, whether or not the record explains it. */
  own: v.boolean(),
  /** Its annotations remain without a share in the mark: someone uncordoned the Node. */
  noted: v.optional(v.boolean()),
  /** The kernel's boot id as the kubelet reports it. */
  bootId: v.nullable(text),
  /** What the Ready condition shows unless it is `True`, such as `False (KubeletNotReady)`. */
  notReady: v.nullish(text, null),
  /** GPUs that its device plugin offers; `null` if not reported. */
  gpus: v.nullish(count, null),
  /** The annotation `navarch.dev/hold` is set. */
  hold: v.boolean(),
  /** Its value if it is neither yes nor no: it holds, and a warning is shown. */
  holdUnclear: v.optional(v.nullable(text)),
  /** No mark is tried before this; how often in a row it was refused. */
  restUntil: instant,
  refusals: count,
  /** Why the API server last refused to mark or unmark it, and since when; `null` if it did not. */
  refusal: v.optional(v.nullable(KubeRefusal)),
  /** Names of the machine's earlier objects, newest first, until `at`. */
  former: v.optional(FormerNames),
  /** When others removed our mark. */
  uncordons: v.optional(Uncordons),
  /** Since when a complete list no longer shows the object; `null` while it is there. */
  absentSince: v.nullable(instant),
  ...OUT_OF_CLUSTER,
});
export type KubeFact = v.InferOutput<typeof KubeFact>;

export const Node = v.object({
  id: NodeId,
  /** `null`: an agent that matches no known instance; listed under no pool, never replaced. */
  pool: v.nullable(PoolName),
  /** When a machine that was not bought by Navarch joined its pool; absent in older rows. */
  pooledAt: v.optional(instant),
  /** Place in the pool, and which occupant of it; `gen` is never reused within the pool. */
  slot: v.nullable(count),
  gen: count,
  createdAt: instant,
  phase: Phase,
  /** Set while work must not be placed on the node, one entry per owner. */
  cordon: v.object({ product: v.nullable(Cordon), human: v.nullable(Cordon) }),
  instance: v.nullable(InstanceFact),
  agent: v.nullable(AgentFact),
  health: Health,
  session: v.nullable(Session),
  /** Sessions opened so far; makes session ids unique. */
  sessions: count,
  /** Increases with every intended effect and refusal; the target refuses an older one (law 5). */
  fence: count,
  /** No effect is tried before this: the back-off after a scheduler refused. */
  restUntil: instant,
  /** The one open operation, if any. */
  operation: v.nullable(OperationId),
  /** A person's order that the plan has not completed yet. */
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
  /** The node that this one replaces. */
  replaces: v.nullable(NodeId),
  /** When Navarch last cordoned it for its health; counts in the isolation budget. */
  isolatedAt: v.nullish(instant, null),
  /** The repair before the open one; bursts count closed sessions too. */
  lastSession: v.nullish(
    v.object({ id: SessionId, openedAt: instant, closedAt: instant, how: text }),
    null,
  ),
  /** When Navarch last rebooted it; a fault that returns within a day is not rebooted again. */
  rebootedAt: v.nullish(instant, null),
  /** The offer at which it was bought, `<provider>/<region>/<zone>/<type>`. */
  offer: v.nullish(text, null),
  kube: v.nullish(KubeFact, null),
  slurm: v.nullish(SlurmFact, null),
  /** When a person revoked its mark as a scale-down candidate. */
  sparedAt: v.nullish(instant, null),
  waiver: v.nullish(Suppression, null),
  /** `null` if its set-up never ended or none was needed. */
  bootstrap: v.nullish(BootstrapFact, null),
  /** A worker pod of an AgentPool, which alone replaces it; `null` = a machine. */
  worker: v.nullish(WorkerFact, null),
});
export type Node = v.InferOutput<typeof Node>;

export function isLeaving(phase: Phase): boolean {
  return phase.kind === "draining" || phase.kind === "terminating" || phase.kind === "gone";
}

const Asked = v.object({ key: text, what: text, at: instant });

/** The durable state of a pool, beside its configuration. */
export const PoolState = v.object({
  name: PoolName,
  /** Clamped to the configured bounds when it is read. */
  desired: count,
  desiredBy: text,
  desiredAt: instant,
  /** Next generation: never reused, so that a node id never names two machines. */
  nextGen: count,
  /** Automation paused by a person. */
  hold: v.nullable(v.object({ by: text, why: text, until: instant })),
  /** Why no machine can be set up until a person fixes it. */
  unready: v.optional(v.nullable(v.object({ why: text, since: instant }))),
  /** Consecutive nodes that never came up, at any offer. */
  failures: count,
  /** Whether nodes come up, by offer and set-up. */
  guards: v.nullish(Guards, {}),
  /** Size changes with a key; a repeated key changes nothing. */
  asked: v.nullish(v.pipe(v.array(Asked), v.maxLength(LIMIT.askedMax)), []),
  /** When the autoscaler last changed the size; its cooldown starts here. */
  lastScaleAt: v.nullish(instant, null),
  /** The autoscaler's last decision that differs in kind from the one before. */
  decision: v.optional(v.nullable(ScalingDecision)),
  /** The queue as last reported from outside; `observedAt` is never ahead of our clock. */
  demand: v.nullish(ReportedQueue, null),
  /** Slots that Slurm's power saving resumed or suspended; absent = it told of none. */
  power: v.optional(SlurmPower),
  /** Back-off as older releases kept it; now a fact that all pools share. */
  offers: v.nullish(
    v.record(text, v.object({ failures: count, notBefore: instant, class: text, message: text })),
    {},
  ),
});
export type PoolState = v.InferOutput<typeof PoolState>;
