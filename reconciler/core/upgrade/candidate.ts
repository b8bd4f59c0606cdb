/**
 * Decides whether a node without an upgrade order is next, waits, or is left alone, and why. Pure.
 * Only a healthy serving node gets the order, so that a later fault can be blamed on the upgrade.
 */
import { UPGRADE_CAPABILITY, type CampaignFact } from "../../../schema/upgrade.ts";
import type { Node } from "../../../schema/node.ts";
import { compareVersions } from "../../../schema/release.ts";
import { isWell, isWorker, verdictOfNode } from "../fleet.ts";

type CandidateStatus =
  | { kind: "has it" }
  | { kind: "next" }
  /** It gets the order once the reason no longer applies. */
  | { kind: "waiting"; why: string }
  /** This campaign never orders it. */
  | { kind: "left alone"; why: string };

/** Whether the node counts in a campaign: it has an agent, and is neither ending nor gone. */
export function takesPart(node: Node): boolean {
  const { kind } = node.phase;
  // A worker's agent is part of its image.
  return node.agent !== null && !isWorker(node) && kind !== "gone" && kind !== "terminating";
}

/** `linux-amd64`, or `null` for an agent that takes no upgrades. */
export function platformOf(node: Node): string | null {
  const capabilities = node.agent?.inventory.capabilities;
  const found = capabilities?.find((one) => one.startsWith(UPGRADE_CAPABILITY));
  return found?.slice(UPGRADE_CAPABILITY.length) ?? null;
}

export function candidateStatusOf(node: Node, campaign: CampaignFact): CandidateStatus {
  const { agent } = node;
  if (agent?.version === campaign.to) return { kind: "has it" };
  const excluded = whyExcluded(node, campaign);
  if (excluded !== null) return { kind: "left alone", why: excluded };
  const why = busyWith(node);
  return why === null ? { kind: "next" } : { kind: "waiting", why };
}

function whyExcluded(node: Node, { files, to }: CampaignFact): string | null {
  const { agent } = node;
  if (agent === null) return "its agent has never reported";
  const platform = platformOf(node);
  if (platform === null) return "its agent takes no upgrades";
  if (files[platform] === undefined) return `release ${to} has no agent for ${platform}`;
  const order = compareVersions(agent.version, to);
  // A rollback could not name the version that the node has.
  if (order === null) return whyUnordered(agent.version, to);
  if (order <= 0) return null;
  return `it has the newer ${agent.version}: a downgrade needs a person at the machine`;
}

/** The version comes from an agent, so it is quoted. */
function whyUnordered(version: string, to: string): string {
  const unread = compareVersions(version, version) === null ? version : to;
  return `the version ${JSON.stringify(unread)} cannot be read`;
}

/** Why the node is not upgraded now, or `null`. */
function busyWith(node: Node): string | null {
  const { cordon, kube, phase } = node;
  if (phase.kind !== "serving") return `it is ${phase.kind}`;
  const holder = cordon.human ?? cordon.product;
  if (holder !== null) return `cordoned by ${holder.by}`;
  if (kube !== null && kube.absentSince === null) {
    if (kube.others.length > 0) return `cordoned in Kubernetes by ${kube.others.join(", ")}`;
    if (kube.hold) return "held in Kubernetes";
  }
  if (node.session !== null || node.order !== null) return "a repair or an order is open";
  if (node.operation !== null) return "an operation is open";
  return isWell(node) ? null : `it is ${verdictOfNode(node)}`;
}
