/**
 * Whether a person may remove the record of a node. Pure. No cloud lists an unmanaged machine, or
 * one that its provider no longer reaches, so only a person knows that it is gone; a machine whose
 * agent reports still exists.
 */
import type { Node } from "../../../schema/node.ts";
import { isUnbought } from "../fleet.ts";

export type ForgetJudgement = { kind: "legal" } | { kind: "refused"; message: string };

/** `silentMs`: time since the last report; `null` = none since this process started. */
export function judgeForget(
  node: Node,
  from: { silentMs: number | null; heartbeatTimeoutMs: number; isStranded: boolean },
): ForgetJudgement {
  const no = (why: string): ForgetJudgement => {
    return { kind: "refused", message: `node ${node.id} ${why}` };
  };
  if (!isUnbought(node) && !from.isStranded) {
    return no("was bought by this fleet: terminate it, and its record goes by itself");
  }
  const { silentMs, heartbeatTimeoutMs } = from;
  const silent = node.health.silentSince !== null;
  if (silentMs !== null && silentMs < heartbeatTimeoutMs) {
    const heard = `${Math.round(silentMs / 1_000)} s ago`;
    return no(`still reports (last ${heard}): stop its agent first`);
  }
  // One that never reported has nothing to fall silent.
  if (!silent && (node.agent !== null || isUnbought(node))) {
    const seconds = Math.round(heartbeatTimeoutMs / 1_000);
    return no(`has not been silent for ${seconds} s yet: stop its agent, then ask again`);
  }
  if (node.operation !== null) return no("is being changed right now: ask again in a moment");
  const { kube } = node;
  if (kube !== null && kube.absentSince === null && kube.isolatedUid === kube.uid) {
    const mark = `its Node ${kube.name} in Kubernetes still has Navarch's cordon`;
    return no(`cannot be forgotten: ${mark}; delete the Node, or uncordon it first`);
  }
  return { kind: "legal" };
}
