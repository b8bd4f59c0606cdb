/** A node as the HTTP API shows it. Pure. */
import type {
  GpuView,
  HealthEventView,
  InstanceView,
  KubeNodeView,
  NodeView,
} from "../../../schema/api.ts";
import { formatRepeats, repeatsOf } from "../../../health/policy/history.ts";
import type { JudgedFinding } from "../../../health/policy/incident.ts";
import { sayFinding } from "../../../health/policy/judge.ts";
import type { NodeWorkerView } from "../../../schema/agentpool-view.ts";
import type { Finding } from "../../../schema/finding.ts";
import type { Cordon } from "../../../schema/cordon.ts";
import type { HeldFinding } from "../../../schema/held.ts";
import type { Node } from "../../../schema/node.ts";
import { outOfCluster, verdictOfNode } from "../../core/fleet.ts";
import { sayOut } from "../../core/say/hold.ts";
import { viewRma } from "./rma.ts";
import { type SlurmLive, viewSinks, viewSlurm } from "./slurm.ts";
import { healthStatusOf, instanceStateOf, statusOf } from "../../core/status.ts";

export const iso = (at: number): string => new Date(at).toISOString();
export const isoOrNull = (at: number | null): string | null => (at === null ? null : iso(at));

function viewCordon(cordon: Cordon | null): { by: string; why: string; at: string } | null {
  return cordon === null ? null : { by: cordon.by, why: cordon.why, at: iso(cordon.at) };
}

function viewKube(kube: Node["kube"], stays: string | null): KubeNodeView | null {
  if (kube === null) return null;
  return {
    name: kube.name,
    uid: kube.uid,
    matched_by: kube.by,
    unschedulable: kube.unschedulable,
    marked: kube.isolatedUid === kube.uid,
    held_by: kube.others,
    hold: kube.hold,
    absent_since: isoOrNull(kube.absentSince),
    stays,
  };
}

/**
 * `heardAt` is the time of the last report to this process, `labels` are the pool's, and `unready`
 * is why the pool's machines cannot be set up now.
 */
export function viewNode(
  node: Node,
  from: {
    heardAt: number | null;
    labels: Record<string, string>;
    threshold: number;
    unready: string | null;
    /** Why the Node object of a gone machine still exists. */
    stays: string | null;
    slurm: SlurmLive;
    isKubeDark: boolean;
    worker: NodeWorkerView | null;
  },
): NodeView {
  const inventory = node.agent?.inventory ?? null;
  const heard = Math.max(from.heardAt ?? 0, node.agent?.lastHeartbeatAt ?? 0);
  const pool =
    node.pool === null
      ? {}
      : { pool: node.pool as string, "navarch.dev/pool": node.pool as string };
  return {
    node_id: node.id,
    provider: node.instance?.provider ?? inventory?.provider ?? null,
    region: node.instance?.region ?? inventory?.region ?? null,
    zone: node.instance?.zone ?? inventory?.zone ?? null,
    instance_type: node.instance?.instanceType ?? inventory?.instance_type ?? null,
    status: statusOf(node, from.threshold),
    health_status: healthStatusOf(node),
    last_heartbeat: heard === 0 ? null : iso(heard),
    gpus: (inventory?.gpus ?? []).map((gpu): GpuView => ({
      index: gpu.index,
      uuid: gpu.uuid,
      name: gpu.name,
      pci_bus_id: gpu.pci_bus_id,
      memory_total: gpu.memory_total ?? null,
      driver_version: gpu.driver_version ?? inventory?.driver_version ?? null,
      cuda_version: gpu.cuda_version ?? inventory?.cuda_version ?? null,
    })),
    metadata: {
      hostname: inventory?.hostname ?? null,
      internal_ip: inventory?.internal_ip ?? node.instance?.internalIp ?? null,
      external_ip: inventory?.external_ip ?? node.instance?.externalIp ?? null,
      kernel_version: inventory?.kernel_version ?? null,
      labels: { ...inventory?.labels, ...from.labels, ...pool, ...workerLabel(node) },
    },
    pool: node.pool,
    instance_id: node.instance?.id ?? null,
    kubernetes_node: node.kube?.name ?? null,
    kubernetes: viewKube(node.kube, from.stays),
    slurm: viewSlurm(node, from.slurm),
    worker: from.worker,
    sinks: viewSinks(node, from.slurm, from.isKubeDark),
    fake: node.agent?.simulated ?? false,
    phase: node.phase.kind,
    phase_since: iso(node.phase.since),
    drained_at: node.phase.kind === "draining" ? isoOrNull(node.phase.drainedAt) : null,
    verdict: verdictOfNode(node),
    reasons: [...setUpReasons(node, from.unready), ...reasonsOf(node)],
    cordons: { product: viewCordon(node.cordon.product), human: viewCordon(node.cordon.human) },
    session_id: node.session?.id ?? null,
    replaces: node.replaces,
    created_at: iso(node.createdAt),
    instance:
      node.instance === null
        ? null
        : { id: node.instance.id, state: instanceStateOf(node), provider: node.instance.provider },
    agent_version: node.agent?.version ?? null,
    ...rmaOf(node),
  };
}

/** The label of its pod, with the pool's namespace. */
function workerLabel({ worker }: Node): Record<string, string> {
  return worker === null ? {} : { "navarch.dev/agentpool": worker.pool };
}

function rmaOf({ phase }: Node): Pick<NodeView, "rma"> {
  return phase.kind === "held" && phase.rma !== undefined ? { rma: viewRma(phase.rma) } : {};
}

/** What blocks a starting node, or why its start failed. */
function setUpReasons({ phase, bootstrap }: Node, unready: string | null): string[] {
  const { kind } = phase;
  const isComing = kind === "requested" || kind === "booting" || kind === "bootstrapping";
  const isOver = (kind === "terminating" || kind === "gone") && phase.purpose === "failed";
  if (!isComing && !isOver) return [];
  const error = bootstrap?.error ?? null;
  const reasons = isComing && unready !== null ? [`cannot be set up: ${unready}`] : [];
  return error === null || error === unready ? reasons : [...reasons, `set-up: ${error}`];
}

/** A judged finding and, where its lines are counted, how often it came. */
export function sayJudged({ finding, judgement }: JudgedFinding, { health }: Node): string {
  const repeats = repeatsOf(health.history, finding, judgement.rule);
  if (repeats === null || repeats.lines === 1) return judgement.because;
  return `${sayFinding(finding)} (${formatRepeats(repeats)})`;
}

export function sayHeld(held: HeldFinding, node: Node): string {
  const { count, finding, judgement } = held;
  const isCounted = repeatsOf(node.health.history, finding, judgement.rule) !== null;
  return isCounted || count === 1 ? sayJudged(held, node) : `${judgement.because} (×${count})`;
}

function reasonsOf(node: Node): string[] {
  const held = node.health.held.map((one) => sayHeld(one, node));
  if (node.health.silentSince !== null) held.push(`silent since ${iso(node.health.silentSince)}`);
  const out = outOfCluster(node);
  if (out !== null) held.push(sayOut(out));
  return held;
}

export function viewHealthEvent(from: { receivedAt: number; finding: Finding }): HealthEventView {
  const { finding } = from;
  return {
    timestamp: finding.at,
    kind: finding.kind,
    code: finding.code ?? null,
    gpu_index: finding.gpu_index ?? null,
    gpu_uuid: finding.gpu_uuid ?? null,
    severity: finding.severity,
    message: finding.message,
    foreign: finding.foreign ?? false,
  };
}

/** When the termination of the node's instance began; `null` = none is pending. */
export function endingSince({ phase, instance }: Node): number | null {
  if (phase.kind !== "terminating" || instance === null) return null;
  return instance.state === "terminated" ? null : phase.since;
}

/** `null` for a node that never had an instance. */
export function viewInstance(node: Node): InstanceView | null {
  const fact = node.instance;
  if (fact === null && node.phase.kind !== "requested") return null;
  return {
    instance_id: fact?.id ?? "",
    provider: fact?.provider ?? "",
    region: fact?.region ?? null,
    zone: fact?.zone ?? null,
    instance_type: fact?.instanceType ?? "",
    state: instanceStateOf(node),
    pool: node.pool,
    node_id: node.id,
    // The request of the node is older than the machine, which may be bought hours later.
    created_at: iso(fact?.boundAt ?? node.createdAt),
    status_message: node.phase.kind === "requested" ? node.phase.refusal : (fact?.state ?? null),
    price_per_hour: fact?.pricePerHour ?? null,
    ending_since: isoOrNull(endingSince(node)),
  };
}
