/**
 * Makes the set of virtual nodes of a cluster equal to a list, through the API alone. Nodes without
 * the set's label are never touched. A conflict with another writer is settled by looking again.
 */
import { PATCH } from "../../../reconciler/kubernetes/api.ts";
import type { VirtualNode } from "../../../reconciler/provider/kwok/virtual-node.ts";
import { TaskError } from "../task.ts";
import { createObject, deleteObject, forEach, listObjects, settle, type Writer } from "../write.ts";
import type { NodeEntry } from "./entry.ts";
import { ENTRY_ANNOTATION, SET_LABEL } from "./name.ts";
import { type NodePatch, planNodes } from "./plan.ts";
import { readSetNode, type SetNode } from "./read.ts";

export type NodeCounts = {
  created: number;
  patched: number;
  removed: number;
  kept: number;
  /** Of the kept ones: pods are not scheduled onto them. */
  cordoned: number;
};

const NODES = "/api/v1/nodes";
/** The server answers some 500 creates a second; more at once only wait in its queue. */
const AT_ONCE = 32;
/** A run beside ours causes one conflict for each node at most once. */
const ROUNDS_MAX = 5;
const nodePath = (name: string): string => `${NODES}/${encodeURIComponent(name)}`;

/** The nodes of the set. Rejects at `deadlineMs`, and when the server refuses. */
export async function listSet(writer: Writer, deadlineMs: number): Promise<SetNode[]> {
  const labelSelector = `${SET_LABEL.key}=${SET_LABEL.value}`;
  const ask = { path: NODES, query: { labelSelector }, what: "virtual nodes", read: readSetNode };
  return listObjects(writer, ask, deadlineMs);
}

/** Rejects with `TaskError` at `deadlineMs` (monotonic), and when the server refuses. */
export async function applyNodes(
  writer: Writer,
  entries: readonly NodeEntry[],
  deadlineMs: number,
): Promise<NodeCounts> {
  const counts = { created: 0, patched: 0, removed: 0, kept: 0, cordoned: 0 };
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const plan = planNodes(entries, await listSet(writer, deadlineMs));
    if (round === 0) {
      counts.kept = plan.kept.length;
      counts.cordoned = plan.kept.filter(({ isCordoned }) => isCordoned).length;
    }
    let conflicts = 0;
    const count = (key: keyof NodeCounts | null) => {
      if (key === null) conflicts += 1;
      else counts[key] += 1;
    };
    await forEach(plan.remove, AT_ONCE, async (node) => {
      await removeNode(writer, node, deadlineMs);
      count("removed");
    });
    await forEach(plan.patch, AT_ONCE, async (patch) => {
      count(await patchNode(writer, patch, deadlineMs));
    });
    await forEach(plan.create, AT_ONCE, async (node) => {
      count(await createNode(writer, node, deadlineMs));
    });
    if (conflicts === 0) return counts;
  }
  throw new TaskError("virtual nodes: another writer keeps changing the set; run one at a time");
}

/** Deletes every node of the set. */
export async function deleteSet(writer: Writer, deadlineMs: number): Promise<number> {
  const nodes = await listSet(writer, deadlineMs);
  await forEach(nodes, AT_ONCE, (node) => removeNode(writer, node, deadlineMs));
  return nodes.length;
}

function removeNode(writer: Writer, { name, uid }: SetNode, deadlineMs: number): Promise<void> {
  return deleteObject(writer, { path: nodePath(name), uid, what: `node ${name}` }, deadlineMs);
}

/** `null`: a node of another entry has the name by now. `kept`: a run beside ours was first. */
async function createNode(
  writer: Writer,
  body: VirtualNode,
  deadlineMs: number,
): Promise<"created" | "kept" | null> {
  const { name, annotations } = body.metadata;
  const what = `node ${name}`;
  const object = { collection: NODES, name, what, body, isNode: true };
  const answer = await createObject(writer, object, deadlineMs);
  if (answer.kind === "refused") {
    throw new TaskError(`failed to create ${what}: ${answer.message}`);
  }
  const found = readSetNode(answer.object);
  if (found?.labels[SET_LABEL.key] !== SET_LABEL.value) {
    throw new TaskError(
      `${what} exists without the label ${SET_LABEL.key}=${SET_LABEL.value}, so it is left ` +
        "alone; delete it or add the label",
    );
  }
  if (found.isLeaving || found.stored?.text !== annotations[ENTRY_ANNOTATION]) return null;
  return answer.kind === "created" ? "created" : "kept";
}

/** `null`: the node is gone, or another has its name. */
async function patchNode(
  writer: Writer,
  patch: NodePatch,
  deadlineMs: number,
): Promise<"patched" | null> {
  const { name, uid, node, status } = patch;
  const parts = [
    ...(node === null ? [] : [{ path: nodePath(name), body: node }]),
    ...(status === null ? [] : [{ path: `${nodePath(name)}/status`, body: { status } }]),
  ];
  for (const { path, body } of parts) {
    const metadata = "metadata" in body ? body.metadata : {};
    const fenced = { ...body, metadata: { ...metadata, uid } };
    const contentType = PATCH.strategic;
    const request = { verb: "patch", path, contentType, body: fenced, lane: "status" } as const;
    const answer = await settle(writer, `patching node ${name}`, request, deadlineMs);
    if (answer.kind === "ok") continue;
    if (answer.status === 404 || answer.status === 409) return null;
    throw new TaskError(`failed to patch node ${name}: ${answer.message}`);
  }
  if (patch.isOtherEntry) {
    // As if it had been deleted and created: `-cleanup` removes it.
    writer.made.intend(nodePath(name), `node ${name}`, true);
    writer.made.confirm(nodePath(name), uid);
  }
  return "patched";
}
