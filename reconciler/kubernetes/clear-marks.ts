/**
 * Removes our share of cordons, taints, conditions, labels and annotations from the Nodes of a
 * cluster, after an uninstall. A person's cordon stays. Each write carries the UID and version that
 * it was decided from.
 */
import { releaseCordon } from "./cordon.ts";
import { readList } from "./call.ts";
import { bearsMarks } from "../core/kubernetes/mark.ts";
import { type NodePorts, refusalText } from "./node-call.ts";
import { FLEET_LABEL, type KubeNode } from "../core/kubernetes/object.ts";
import { readNode } from "./read-node.ts";
import { clearRequests } from "./status-diff.ts";
import { type StatusTarget, writeStatus } from "./status-write.ts";

const PAGE_MS = 30_000;

export type Marked = {
  name: string;
  /** From its label; `null`: written by a version without it. */
  fleet: string | null;
  object: KubeNode;
};

export type MarkedNodes = { kind: "ok"; nodes: Marked[] } | { kind: "failed"; message: string };

/** Every Node with a mark of ours. */
export async function listMarked(ports: NodePorts): Promise<MarkedNodes> {
  const read = (item: unknown): Marked | null => {
    const object = readNode(item);
    if (object === null || !bearsMarks(object)) return null;
    return { name: object.name, fleet: object.labels[FLEET_LABEL] ?? null, object };
  };
  const options = { timeoutMs: PAGE_MS, read };
  const answer = await readList(ports.api, "/api/v1/nodes", {}, options);
  if (answer.kind !== "ok") return { kind: "failed", message: refusalText(answer) };
  return { kind: "ok", nodes: answer.items };
}

/** `null`: nothing of ours is left; otherwise why something is. */
export async function clearMarks(ports: NodePorts, { object }: Marked): Promise<string | null> {
  const { name, uid } = object;
  const released = await releaseCordon(ports, name, uid, { pool: null });
  if (released.kind === "other_object") return null;
  if (released.kind === "held") return `${name} is still cordoned`;
  if (released.kind !== "released") return released.message;
  const target: StatusTarget = {
    ...{ name, uid, pool: null, object: released.object },
    ...{ labelsSent: null, foreign: new Map() },
  };
  for (const step of clearRequests(target.object, target)) {
    const written = await writeStatus(ports, target, step);
    if (written.kind === "gone") return null;
    if (written.kind === "failed") return written.message;
    if (written.object !== null) target.object = written.object;
  }
  return released.wiped ? "the owner of its cordon is unknown: kubectl uncordon removes it" : null;
}
