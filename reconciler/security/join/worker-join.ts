/**
 * Joining of worker pods of AgentPools: the pod's own service-account token takes the place of a
 * join token. The API server says of which pod it is, the leader's pools say whether that pod is
 * theirs, and the pod gets a node's credential that names its UID. A repeated join gets the same
 * one, so a lost answer, or a restarted container, costs nothing. Tokens are never stored or
 * logged; digests of refused ones are kept in memory for a moment.
 */
import { createHash } from "node:crypto";
import type { WorkerFact } from "../../../schema/agentpool.ts";
import type { Credential } from "../../../schema/credential.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { WorkerJoinRequest } from "../../../schema/join.ts";
import type { AgentPools, ProvenPod } from "../../core/agentpool/service.ts";
import type { Clock, Log } from "../../core/clock.ts";
import type { Store } from "../../core/store.ts";
import type { JoinTable } from "../../core/store-table.ts";
import { Gate } from "../../core/turn/gate.ts";
import type { Authority } from "../auth.ts";
import { joinKey } from "../key.ts";
import { nodeCredential } from "./keys.ts";
import type { Sight } from "./place.ts";

export type WorkerJoinAnswer =
  | { kind: "joined"; node: NodeId; credential: string; pod: string; again: boolean }
  /** `stranger`: the token itself is not accepted; `pod`: as the API server says, if it does. */
  | { kind: "refused"; stranger: boolean; message: string; pod: string | null }
  | { kind: "unavailable"; message: string };

export type WorkerJoinsFrom = {
  authority: Authority;
  store: Pick<Store, "saveCredential">;
  table: Pick<JoinTable, "forget">;
  clock: Pick<Clock, "wallMs" | "monoMs">;
  log: Log;
};

type Pools = Pick<AgentPools, "review" | "admit" | "whyNot">;

/** Concurrent reviews: thousands of pods that start at once must not flood the API server. */
const AT_ONCE = 4;
const WAITING_MAX = 512;
/** A refused token is not asked about again within this time. */
const REFUSED_MS = 30_000;
const REFUSED_MAX = 1_024;

export class WorkerJoins {
  private readonly from: WorkerJoinsFrom;
  private readonly gate = new Gate(AT_ONCE);
  private readonly refused = new Map<string, { message: string; untilMono: number }>();

  constructor(from: WorkerJoinsFrom) {
    this.from = from;
  }

  async join(
    request: WorkerJoinRequest,
    pools: Pools,
    sight: Pick<Sight, "node" | "nodeLike" | "isOwnName">,
  ): Promise<WorkerJoinAnswer> {
    const whyNot = pools.whyNot();
    if (whyNot !== null) return { kind: "unavailable", message: whyNot.message };
    const known = this.knownRefusal(request.pod_token);
    if (known !== null) return refuse(known, null, true);
    if (this.gate.waiting >= WAITING_MAX) {
      return { kind: "unavailable", message: "too many pods are joining at once" };
    }
    const review = await this.gate.pass(() => pools.review(request.pod_token));
    if (review.kind === "unknown") return { kind: "unavailable", message: review.problem };
    if (review.kind === "refused") {
      this.remember(request.pod_token, review.problem);
      return refuse(review.problem, null, true);
    }
    const { pod } = review;
    const name = `${pod.namespace}/${pod.name}`;
    if (request.node_id !== pod.name) {
      const next = "leave AGENT_NAME and --node-id out, or set them to the pod's name";
      const other = `the token is of pod ${name}, and the agent calls itself ${request.node_id}`;
      return refuse(`${other}: ${next}`, name);
    }
    const admitted = await pools.admit(pod, request.pool ?? null);
    if (admitted.kind !== "ok") {
      const { kind, message } = admitted;
      return kind === "refused" ? refuse(message, name) : { kind, message };
    }
    return this.give(admitted.node, { pool: admitted.pool, uid: pod.uid }, pod, sight);
  }

  /** Ends the credential of the pod with this UID, at once and without a trace. */
  async forget(node: NodeId, uid: string): Promise<void> {
    const { authority, table } = this.from;
    await authority.change(node, async () => {
      const own = authority.ofNode(node);
      if (own?.worker?.uid !== uid) return;
      await table.forget(own.id);
      authority.drop(own);
    });
  }

  private async give(
    node: NodeId,
    worker: WorkerFact,
    { namespace, name }: ProvenPod,
    sight: Pick<Sight, "node" | "nodeLike" | "isOwnName">,
  ): Promise<WorkerJoinAnswer> {
    const { authority, log } = this.from;
    const pod = `${namespace}/${name}`;
    try {
      return await authority.change(node, async () => {
        const own = authority.ofNode(node);
        const problem = whyTaken(node, own, sight);
        if (problem !== null) return refuse(problem, pod);
        const isSame = own?.worker?.uid === worker.uid;
        if (isSame && own.revokedAt !== null) {
          return refuse(`the credentials of ${node} were revoked: delete the pod`, pod);
        }
        const again = isSame && own.worker?.pool === worker.pool;
        if (!again) await this.save(node, worker, isSame ? own : null, pod);
        const credential = authority.issueNode(node);
        return { kind: "joined", node, credential, pod, again };
      });
    } catch (error) {
      log("warn", "cannot store the join of a worker", { node, error: String(error) });
      return { kind: "unavailable", message: "the store is not writable" };
    }
  }

  private async save(
    node: NodeId,
    worker: WorkerFact,
    own: Credential | null,
    pod: string,
  ): Promise<void> {
    const { authority, store, clock } = this.from;
    const now = clock.wallMs();
    const key = joinKey(authority.keyOf(node), now);
    const row = own ?? nodeCredential(node, { now, by: `pod:${pod}`, key });
    const made: Credential = { ...row, worker };
    await store.saveCredential(made);
    authority.put(made);
  }

  private knownRefusal(token: string): string | null {
    const found = this.refused.get(digest(token));
    return found !== undefined && found.untilMono > this.from.clock.monoMs() ? found.message : null;
  }

  private remember(token: string, message: string): void {
    const key = digest(token);
    this.refused.delete(key);
    this.refused.set(key, { message, untilMono: this.from.clock.monoMs() + REFUSED_MS });
    const [oldest] = this.refused.keys();
    if (this.refused.size > REFUSED_MAX && oldest !== undefined) this.refused.delete(oldest);
  }
}

/** Why the name belongs to a machine; a pod must never take a machine's place. */
function whyTaken(
  node: NodeId,
  own: Credential | null,
  sight: Pick<Sight, "node" | "nodeLike" | "isOwnName">,
): string | null {
  const known = sight.node(node);
  const isMachine = known !== null && known.worker === null;
  if (isMachine || (own !== null && own.worker === undefined)) {
    return `node ${node} is a machine: give the pool's template another metadata.name`;
  }
  const like = known === null ? sight.nodeLike(node) : null;
  if (like !== null && like !== node) return `node ${node} differs from node ${like} only in case`;
  if (known === null && sight.isOwnName(node)) {
    return `${node} is a name for machines that are bought here`;
  }
  return null;
}

const digest = (token: string): string => createHash("sha256").update(token).digest("base64url");

function refuse(message: string, pod: string | null, stranger = false): WorkerJoinAnswer {
  return { kind: "refused", stranger, message, pod };
}
