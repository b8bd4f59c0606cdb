/**
 * The parts of a fleet, written out for tests of pure functions: whatever a test does not name is
 * that of a machine in service about which nothing is known.
 */
import type { Finding } from "../../schema/finding.ts";
import type { GpuIdentity } from "../../schema/gpu.ts";
import type { HeldFinding } from "../../schema/held.ts";
import type { BootId, InstanceId, NodeId, PoolName, SessionId, StreamId } from "../../schema/id.ts";
import type { AgentFact, InstanceFact, KubeFact, Node, PoolState } from "../../schema/node.ts";
import type { Operation, Payload } from "../../schema/operation.ts";
import type { Judgement, PolicyNode } from "../../schema/policy.ts";
import type { Inventory } from "../../schema/report.ts";
import { type Fact, factKey } from "../../schema/safety.ts";
import type { SlurmFact } from "../../schema/slurm.ts";
import type { CampaignFact } from "../../schema/upgrade.ts";
import type { Fleet } from "../../reconciler/core/fleet.ts";
import type { KubeNode } from "../../reconciler/core/kubernetes/object.ts";
import type { SlurmNode } from "../../reconciler/core/slurm/object.ts";
import { emptyInventory } from "../../reconciler/core/fold/inbox-entry.ts";
import { newNode } from "../../reconciler/core/fold/new-node.ts";
import { newPoolState } from "../../reconciler/core/fold/new-pool.ts";

export const POOL = "p" as PoolName;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

export function instanceOf(over: Partial<InstanceFact> = {}): InstanceFact {
  return {
    id: "i-1" as InstanceId,
    provider: "fake" as PoolName,
    state: "running",
    region: null,
    zone: null,
    instanceType: "h100-8x",
    internalIp: null,
    externalIp: null,
    pricePerHour: 1,
    boundAt: 0,
    absentSince: null,
    absentListings: 0,
    ...over,
  };
}

export function inventoryOf(over: Partial<Inventory> = {}): Inventory {
  return { ...emptyInventory("h"), ...over };
}

export function agentOf(inventory: Partial<Inventory> = {}, version = "1.0.0"): AgentFact {
  return {
    bootId: "boot-1" as BootId,
    stream: "stream-1" as StreamId,
    version,
    simulated: false,
    registeredAt: 0,
    lastHeartbeatAt: 0,
    inventory: inventoryOf(inventory),
  };
}

export const gpuOf = (
  index: number,
  uuid = `GPU-a${index}`,
  serial: string | null = null,
): GpuIdentity => ({
  index,
  uuid,
  name: "H100",
  pci_bus_id: `00000000:0${index}:00.0`,
  serial,
  memory_total: null,
  driver_version: null,
  cuda_version: null,
  mig_enabled: null,
});

/** Slot 0 of pool `p`, in service on a machine of its own. */
export function nodeOf(id: string, over: Partial<Node> = {}): Node {
  const base = newNode({ id: id as NodeId, pool: POOL, slot: 0, gen: 0, at: 0, replaces: null });
  const instance = instanceOf({ id: `i-${id}` as InstanceId });
  return { ...base, phase: { kind: "serving", since: 0 }, instance, agent: agentOf(), ...over };
}

/** An unmanaged machine that runs an agent. */
export const unboughtOf = (id: string, over: Partial<Node> = {}): Node =>
  nodeOf(id, { slot: null, instance: null, ...over });

/** Such a machine whose agent, of this version, takes releases for `platforms`. */
export function upgradableOf(
  id: string,
  version: string,
  at: number,
  platforms: readonly string[] = ["linux-amd64"],
): Node {
  const capabilities = platforms.map((platform) => `upgrade:${platform}`);
  const agent = { ...agentOf({ capabilities }, version), registeredAt: at, lastHeartbeatAt: at };
  const node = unboughtOf(id, { pool: null, phase: { kind: "serving", since: at }, agent });
  return { ...node, health: { ...node.health, verdict: "healthy", lastCheckAt: at } };
}

/** A campaign that runs, begun by a person. */
export const runningOf = (startedAt: number, over: Partial<CampaignFact> = {}): CampaignFact => ({
  kind: "upgrade",
  id: "c1",
  to: "1.1.0",
  percent: 100,
  force: false,
  by: "ann",
  startedAt,
  deadlineMs: 180_000,
  files: { "linux-amd64": "0".repeat(64), "linux-arm64": "1".repeat(64) },
  state: "running",
  why: null,
  endedAt: null,
  rollback: false,
  ...over,
});

export function findingOf(over: Partial<Finding> = {}): Finding {
  return {
    kind: "xid",
    code: 48,
    reason: null,
    pci: null,
    gpu_index: 0,
    gpu_uuid: null,
    mig: null,
    pid: null,
    process_name: null,
    at: "1970-01-01T00:00:00Z",
    boot_id: "boot-1" as BootId,
    severity: "serious",
    message: "",
    metrics: {},
    source: "kmsg",
    foreign: false,
    injected: false,
    kmsg_seq: null,
    ...over,
  };
}

/** Evidence that is held against a node: unhealthy, and it may pass. */
export function heldOf(
  judgement: Partial<Judgement> = {},
  finding: Partial<Finding> = {},
  over: Partial<HeldFinding> = {},
): HeldFinding {
  return {
    key: "xid/48/node",
    finding: findingOf(finding),
    judgement: {
      result: "unhealthy",
      rule: "r",
      version: "v1",
      policyHash: "hash",
      hold: "until_reboot",
      action: "reboot",
      definitive: false,
      rank: "policy",
      because: "XID 48 on GPU 0",
      ...judgement,
    },
    firstAt: 0,
    lastAt: 0,
    count: 1,
    cleanSince: 0,
    resetSeen: false,
    ...over,
  };
}

export function sessionOf(over: Partial<NonNullable<Node["session"]>> = {}) {
  return {
    id: "s-1" as SessionId,
    openedAt: 0,
    bootId: null,
    instanceId: null,
    reasons: ["XID 48 on GPU 0"],
    attempts: {},
    definitive: false,
    epoch: 1,
    ...over,
  };
}

export const lastSessionOf = (openedAt: number, how: string, closedAt = openedAt) => ({
  id: "s-0" as SessionId,
  openedAt,
  closedAt,
  how,
});

/** A node with an open session over what is held, one XID 48 by default. */
export function sickOf(id: string, over: Partial<Node> = {}, held = [heldOf()]): Node {
  const node = nodeOf(id, { phase: { kind: "suspect", since: 0 }, session: sessionOf(), ...over });
  return { ...node, health: { ...node.health, verdict: "unhealthy", held, ...over.health } };
}

export function kubeOf(over: Partial<KubeFact> = {}): KubeFact {
  return {
    name: "k",
    uid: "uid-1",
    by: "provider_id",
    proof: "instance",
    boundAt: 0,
    unschedulable: false,
    others: [],
    isolatedUid: null,
    reassertedAt: null,
    own: false,
    bootId: null,
    notReady: null,
    gpus: null,
    hold: false,
    restUntil: 0,
    refusals: 0,
    absentSince: null,
    ...over,
  };
}

/** NodeName `n0` in service, registered, with nothing of Navarch's on it. */
export function slurmOf(over: Partial<SlurmFact> = {}): SlurmFact {
  return {
    name: "n0",
    by: "id",
    boundAt: 0,
    owner: "none",
    byItself: false,
    others: [],
    held: false,
    takenOver: false,
    stale: false,
    drain: false,
    down: false,
    power: false,
    silent: false,
    completing: false,
    reason: null,
    markedAt: null,
    markedBoot: null,
    markedBootId: null,
    bootTime: 1_000,
    bootSeenAt: null,
    reassertedAt: null,
    restUntil: 0,
    refusals: 0,
    refusal: null,
    absentSince: null,
    ...over,
  };
}

/** The same as a controller lists it. */
export function slurmRowOf(over: Partial<SlurmNode> = {}): SlurmNode {
  return {
    name: "n0",
    base: "IDLE",
    flags: [],
    reason: null,
    reasonBy: null,
    reservation: null,
    bootTime: 1_000,
    slurmdStartedAt: null,
    address: null,
    hostname: null,
    partitions: ["compute"],
    gres: null,
    features: [],
    ...over,
  };
}

/** Node object `k` as the cluster shows it, with nothing marked on it. */
export function objectOf(over: Partial<KubeNode> = {}): KubeNode {
  return {
    name: "k",
    uid: "uid-1",
    resourceVersion: "1",
    unschedulable: false,
    own: false,
    others: [],
    annotations: {},
    labels: {},
    taints: [],
    conditions: [],
    providerId: null,
    systemUuid: null,
    bootId: null,
    ips: [],
    hostname: null,
    gpus: 8,
    ...over,
  };
}

/** A node as policies see it. */
export const POLICY_NODE: PolicyNode = {
  id: "n",
  pool: "p",
  labels: {},
  gpu_count: 8,
  driver_version: "570",
  fake: false,
};

export const poolStateOf = (desired: number, over: Partial<PoolState> = {}): PoolState => ({
  ...newPoolState(POOL, desired, 0),
  ...over,
});

export function operationOf(
  node: Node,
  payload: Payload,
  over: Partial<Operation> = {},
): Operation {
  return {
    id: `${node.id}.1.${payload.kind}` as Operation["id"],
    node: node.id,
    pool: node.pool,
    session: node.session?.id ?? null,
    fence: node.fence,
    epoch: 1,
    payload,
    state: "asked",
    askedAt: 0,
    notBefore: 0,
    attempts: 0,
    lookups: 0,
    closedAt: null,
    message: null,
    because: [],
    ...over,
  };
}

export function fleetOf(
  nodes: readonly Node[],
  facts: readonly Fact[] = [],
  pools: readonly PoolState[] = [],
  operations: readonly Operation[] = [],
): Fleet {
  return {
    fleetId: "f",
    nodes: new Map(nodes.map((node) => [node.id, node])),
    pools: new Map(pools.map((pool) => [pool.name, pool])),
    operations: new Map(operations.map((operation) => [operation.id, operation])),
    facts: new Map(facts.map((fact) => [factKey(fact), fact])),
  };
}
