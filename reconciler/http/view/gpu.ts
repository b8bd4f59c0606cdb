/** The GPUs of a node, each with its verdict and the findings that count against it. Pure. */
import type { GpuIdentity } from "../../../schema/gpu.ts";
import type { HeldFinding } from "../../../schema/held.ts";
import type { Node } from "../../../schema/node.ts";
import type { Verdict } from "../../../schema/policy.ts";
import { gpuOf } from "../../../health/policy/history.ts";
import { verdictOfNode } from "../../core/fleet.ts";
import { iso, sayHeld } from "./node.ts";

export type GpuFindingView = { because: string; at: string };

export type GpuHealthView = {
  /** `null` = no agent gave it a number, or it is gone. */
  index: number | null;
  uuid: string;
  name: string | null;
  pci_bus_id: string | null;
  verdict: Verdict;
  /** The inventory no longer lists it. */
  missing: boolean;
  findings: GpuFindingView[];
};

const RANK: Record<Verdict, number> = { unknown: 0, healthy: 1, degraded: 2, unhealthy: 3 };

/** In the order of their index, then those that only findings name. */
export function viewGpuHealth(node: Node): GpuHealthView[] {
  const gpus = node.agent?.inventory.gpus ?? [];
  const left = new Set(node.health.held.filter(({ finding }) => gpuOf(finding) !== "node"));
  const listed = gpus.map((gpu) => {
    const own = [...left].filter((held) => isOf(held, gpu));
    for (const held of own) left.delete(held);
    const { index, uuid, name, pci_bus_id } = gpu;
    return { index, uuid, name, pci_bus_id, missing: false, ...judged(own, node) };
  });
  const gone = [...Map.groupBy(left, ({ finding }) => gpuOf(finding))].map(([uuid, own]) => {
    const finding = own[0]?.finding;
    const index = finding?.gpu_index ?? null;
    const known = { index: index === -1 ? null : index, uuid, name: null };
    return { ...known, pci_bus_id: finding?.pci ?? null, missing: true, ...judged(own, node) };
  });
  return [...listed.sort((a, b) => a.index - b.index), ...gone];
}

/** What no single GPU is the cause of: driver, fabric, silence. */
export function viewNodeFindings(node: Node): GpuFindingView[] {
  const own = node.health.held.filter(({ finding }) => gpuOf(finding) === "node");
  return own.map((held) => viewHeld(held, node));
}

function isOf({ finding }: HeldFinding, { uuid, pci_bus_id: pci, index }: GpuIdentity): boolean {
  if (finding.gpu_uuid) return finding.gpu_uuid === uuid;
  if (finding.pci) return shortPci(finding.pci) === shortPci(pci);
  return finding.gpu_index === index;
}

/** NVML writes a domain of eight digits, the kernel one of four. */
function shortPci(pci: string): string {
  return pci.toLowerCase().replace(/^0{1,16}([0-9a-f]{4}:)/, "$1");
}

/** A GPU without findings is healthy only as far as its node is heard and was checked. */
function judged(own: HeldFinding[], node: Node): Pick<GpuHealthView, "verdict" | "findings"> {
  const isKnown = node.health.silentSince === null && verdictOfNode(node) !== "unknown";
  const worst = own.reduce<Verdict>(
    (found, { judgement }) => (RANK[judgement.result] > RANK[found] ? judgement.result : found),
    isKnown ? "healthy" : "unknown",
  );
  return { verdict: worst, findings: own.map((held) => viewHeld(held, node)) };
}

function viewHeld(held: HeldFinding, node: Node): GpuFindingView {
  return { because: sayHeld(held, node), at: iso(held.firstAt) };
}
