/**
 * Quarantined hardware (docs/reference/safety.md#quarantined-hardware) is known by the UUIDs of its
 * GPUs, which outlive the instance, the node and this process. An instance with such GPUs is
 * refused at the first check, before any work runs on it. Pure.
 */
import type { Node } from "../../../schema/node.ts";
import { type Fact, type FactOf, factsOf } from "../../../schema/safety.ts";
import { type Fleet, isWorker } from "../fleet.ts";

type QuarantinedGpu = FactOf<"lemon">;

/** Nodes and instances kept for one GPU: enough to discuss with a provider. */
const REMEMBERED_MAX = 8;
/** GPUs kept; beyond, the one not seen for longest is dropped. */
export const QUARANTINED_MAX = 20_000;
/** Suspicion halves in this time; below a quarter it ends. */
const HALF_LIFE_MS = 30 * 86_400_000;
const FORGOTTEN = 0.25;

/** UUIDs of the GPUs in the held evidence; all of them if it concerns the node. */
function sickUuids(node: Node): string[] {
  const gpus = node.agent?.inventory.gpus ?? [];
  const out = new Set<string>();
  for (const { finding, judgement } of node.health.held) {
    if (judgement.result !== "unhealthy" || !judgement.definitive) continue;
    const byIndex = gpus.find((gpu) => gpu.index === finding.gpu_index)?.uuid ?? null;
    const uuid = finding.gpu_uuid ?? byIndex;
    if (uuid !== null && isName(uuid)) out.add(uuid);
  }
  return [...out];
}

/** Firmware without a UUID reports zeros, which identify nothing. */
function isName(uuid: string): boolean {
  return /[1-9a-f]/i.test(uuid.replace(/^(GPU|MIG)-/, ""));
}

/** Whether another machine of the fleet reports this GPU: then the UUID identifies nothing. */
function isShared(uuid: string, node: Node, fleet: Fleet): boolean {
  const own = (node.agent?.inventory.gpus ?? []).filter((gpu) => gpu.uuid === uuid);
  if (own.length > 1) return true;
  for (const other of fleet.nodes.values()) {
    // A worker pod reports the GPUs of the machine on which it runs.
    if (other.id === node.id || other.phase.kind === "gone" || isWorker(other)) continue;
    if (other.agent?.inventory.gpus.some((gpu) => gpu.uuid === uuid) === true) return true;
  }
  return false;
}

/** Records for a node that is replaced because of a definitive hardware fault. */
export function quarantinedOf(node: Node, fleet: Fleet, now: number): QuarantinedGpu[] {
  const { facts } = fleet;
  const uuids = sickUuids(node).filter((uuid) => !isShared(uuid, node, fleet));
  return uuids.map((uuid): QuarantinedGpu => {
    const before = facts.get(`lemon:${uuid}`);
    const known = before?.kind === "lemon" ? before : null;
    const gpu = node.agent?.inventory.gpus.find((one) => one.uuid === uuid);
    return {
      kind: "lemon",
      uuid,
      serial: gpu?.serial ?? known?.serial ?? null,
      sessions: (known?.sessions ?? 0) + 1,
      firstAt: known?.firstAt ?? now,
      lastAt: now,
      because: node.session?.reasons[0] ?? known?.because ?? "",
      nodes: [...(known?.nodes ?? []), node.id].slice(-REMEMBERED_MAX),
      instances: [
        ...(known?.instances ?? []),
        ...(node.instance === null ? [] : [node.instance.id]),
      ].slice(-REMEMBERED_MAX),
      provider: node.instance?.provider ?? known?.provider ?? "",
      place: node.instance?.zone ?? node.instance?.region ?? known?.place ?? "",
      refused: known?.refused ?? 0,
    };
  });
}

/** The quarantined hardware that this node has, or `null`; its own instance is no evidence. */
export function quarantinedIn(node: Node, fleet: Fleet, now: number): QuarantinedGpu | null {
  for (const { uuid } of node.agent?.inventory.gpus ?? []) {
    if (uuid === null || uuid === undefined) continue;
    const fact = fleet.facts.get(`lemon:${uuid}`);
    if (fact?.kind !== "lemon" || isForgiven(fact, now)) continue;
    if (node.instance !== null && fact.instances.includes(node.instance.id)) continue;
    if (isShared(uuid, node, fleet)) continue;
    return fact;
  }
  return null;
}

/** Records that the cloud returned it and that it was refused. */
export function refusedAgain(lemon: QuarantinedGpu, node: Node): QuarantinedGpu {
  const instances = [...lemon.instances, ...(node.instance === null ? [] : [node.instance.id])];
  return {
    ...lemon,
    // Only a fault renews the suspicion, or a board that returns often would never be released.
    refused: lemon.refused + 1,
    instances: instances.slice(-REMEMBERED_MAX),
  };
}

/** Whether the suspicion has ended; each session weighs 1 and halves in 30 days. */
function isForgiven({ sessions, lastAt }: QuarantinedGpu, now: number): boolean {
  return sessions * 2 ** (-Math.max(0, now - lastAt) / HALF_LIFE_MS) < FORGOTTEN;
}

/** Keys beyond the bound, oldest first. */
export function surplusQuarantined(facts: ReadonlyMap<string, Fact>): string[] {
  const lemons = factsOf(facts, "lemon");
  if (lemons.length <= QUARANTINED_MAX) return [];
  lemons.sort((a, b) => a.lastAt - b.lastAt);
  return lemons.slice(0, lemons.length - QUARANTINED_MAX).map((one) => `lemon:${one.uuid}`);
}
