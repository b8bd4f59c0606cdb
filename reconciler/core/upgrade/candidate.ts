/**
 * How a node stands to an upgrade that it was not told of yet: whether it is next, waits for
 * something, or is left alone, with why. Pure. Only a node that serves and that nothing is wrong
 * with is told, so that whatever is wrong with it afterwards came with the upgrade.
 */
import { UPGRADE_CAPABILITY, type CampaignFact } from "../../../schema/upgrade.ts";
import type { Node } from "../../../schema/node.ts";
import { compareVersions } from "../../../schema/release.ts";
import { verdictOfNode } from "../fleet.ts";

export type CandidateStatus =
  | { kind: "has it" }
  | { kind: "next" }
  /** It is told once what it waits for is over. */
  | { kind: "waiting"; why: string }
  /** This campaign never tells it. */
  | { kind: "left alone"; why: string };

/** Whether the node takes part: an agent speaks, or spoke, from a machine that is not leaving. */
export function takesPart(node: Node): boolean {
  const { kind } = node.phase;
  return node.agent !== null && kind !== "gone" && kind !== "terminating";
}

/** `linux-amd64`, or `null` for an agent that takes no upgrades. */
export function platformOf(node: Node): string | null {
  const said = node.agent?.inventory.capabilities?.find((one) => {
    return one.startsWith(UPGRADE_CAPABILITY);
  });
  return said?.slice(UPGRADE_CAPABILITY.length) ?? null;
}

export function candidateStatusOf(node: Node, campaign: CampaignFact): CandidateStatus {
  const { agent } = node;
  if (agent === null) return { kind: "left alone", why: "no agent of it has spoken" };
  if (agent.version === campaign.to) return { kind: "has it" };
  const platform = platformOf(node);
  if (platform === null) return { kind: "left alone", why: "its agent takes no upgrades" };
  if (campaign.files[platform] === undefined) {
    return { kind: "left alone", why: `release ${campaign.to} has no agent for ${platform}` };
  }
  const order = compareVersions(agent.version, campaign.to);
  // It could not be told by name to go back to what it has.
  if (order === null) return { kind: "left alone", why: whyUnordered(agent.version, campaign.to) };
  if (order > 0) {
    const why = `it has the newer ${agent.version}: a downgrade needs a person at the machine`;
    return { kind: "left alone", why };
  }
  const why = busyWith(node);
  return why === null ? { kind: "next" } : { kind: "waiting", why };
}

/** The version is an agent's word, quoted so that it stays one in a table. */
function whyUnordered(version: string, to: string): string {
  const unread = compareVersions(version, version) === null ? version : to;
  return `the version ${JSON.stringify(unread)} cannot be read`;
}

/** Why it is not disturbed now, or `null`. */
function busyWith(node: Node): string | null {
  const { cordon, kube, phase } = node;
  if (phase.kind !== "serving") return `it is ${phase.kind}`;
  const holder = cordon.human ?? cordon.product;
  if (holder !== null) return `cordoned by ${holder.by}`;
  const bears = kube !== null && kube.absentSince === null;
  if (bears && kube.others.length > 0) return `cordoned in Kubernetes by ${kube.others.join(", ")}`;
  if (bears && kube.hold) return "held in Kubernetes";
  if (node.session !== null || node.order !== null) return "a repair or an order is open";
  if (node.operation !== null) return "an operation is open";
  const verdict = verdictOfNode(node);
  return verdict === "healthy" || verdict === "degraded" ? null : `it is ${verdict}`;
}
