/**
 * Whether a person may have the record of a node removed. Pure. Only a machine that this fleet did
 * not buy leaves no trace at a cloud from which its end could be read, so only a person can say
 * that it is gone; one that still speaks is not.
 */
import type { Node } from "../../../schema/node.ts";
import { isUnbought } from "../fleet.ts";

export type ForgetJudgement = { kind: "legal" } | { kind: "refused"; message: string };

/** `silentMs` is how long its agent has not been heard; `null` = not in this process's life. */
export function judgeForget(
  node: Node,
  from: { silentMs: number | null; heartbeatTimeoutMs: number },
): ForgetJudgement {
  const no = (why: string): ForgetJudgement => {
    return { kind: "refused", message: `node ${node.id} ${why}` };
  };
  if (!isUnbought(node)) {
    return no("was bought by this fleet: terminate it, and its record goes by itself");
  }
  const { silentMs, heartbeatTimeoutMs } = from;
  const silent = node.health.silentSince !== null;
  if (silentMs !== null && silentMs < heartbeatTimeoutMs) {
    const heard = `${Math.round(silentMs / 1_000)} s ago`;
    return no(`still reports (last ${heard}): stop its agent first`);
  }
  if (!silent) {
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
