/**
 * Where the stories of trouble are played: a real cluster whose audit log holds what each eviction
 * asked for, an independent witness of its pods, and compiled control planes whose machines join
 * it. Every story is judged in the same way when it is over, by the audit log, the witness and the
 * cloud's own journal; the product's word is not asked.
 *
 * Adapter: processes, network, files, clock.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Entry } from "../../../reconciler/provider/fake/entry.ts";
import { injectXid } from "../../fixture/cloud/inject.ts";
import { readEntries } from "../../../reconciler/provider/fake/journal.ts";
import type { NodeView } from "../../../schema/api.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { until } from "../../fixture/plane/plane.ts";
import type { Plane } from "../../fixture/plane/plane.ts";
import { LEASE_RULE, PRODUCT_RULES } from "./access.ts";
import { type AuditEntry, type Cluster, openCluster } from "./cluster.ts";
import { isProduct, Joined } from "./joined.ts";
import type { JoinedOptions } from "./joined.ts";
import { Witness } from "./trouble-witness.ts";

/** An eviction's own body, which is the only place where the pod's UID stands. */
type Told = AuditEntry & {
  requestObject?: { deleteOptions?: Options; preconditions?: Options["preconditions"] };
};
type Options = { preconditions?: { uid?: string } };

const POLICY = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [
    { level: "Request", resources: [{ group: "", resources: ["pods/eviction"] }] },
    { level: "Request", verbs: ["delete"], resources: [{ group: "", resources: ["pods"] }] },
    { level: "Metadata" },
  ],
};

export type Work = {
  namespace: string;
  replicas: number;
  /** Of the disruption budget; the rest must stay. */
  mayMiss: number;
};

export class Ground {
  readonly cluster: Cluster;
  readonly witness: Witness;
  private readonly folder: string;
  private readonly works: Work[] = [];
  private readonly brokenAt = new Map<string, number>();
  /** While it starts, a server refuses everybody: it has not read the roles yet. */
  private readonly starts: { fromMs: number; toMs: number }[] = [];
  private current: Joined[] = [];
  private count = 0;

  private constructor(cluster: Cluster, folder: string) {
    this.cluster = cluster;
    this.folder = folder;
    this.witness = new Witness(cluster);
    this.witness.start();
  }

  static async open(): Promise<Ground> {
    const folder = mkdtempSync(join(tmpdir(), "navarch-trouble-"));
    const policy = join(folder, "audit.json");
    writeFileSync(policy, JSON.stringify(POLICY));
    const flags = { apiserver: [`--audit-policy-file=${policy}`] };
    return new Ground(await openCluster({ flags }), folder);
  }

  /** What is left over, which must be nothing. */
  async close(): Promise<string[]> {
    const left = await this.clear();
    await this.witness.close();
    left.push(...(await this.cluster.close()));
    rmSync(this.folder, { recursive: true, force: true });
    return left;
  }

  /** A control plane with its machines, not started. */
  plane(options: JoinedOptions, kubeconfig?: string): Joined {
    const joined = new Joined(this.cluster, options);
    if (kubeconfig !== undefined) {
      const { config } = joined.plane;
      const own = this.cluster.kubeconfig("product");
      writeFileSync(config, readFileSync(config, "utf8").replace(own, kubeconfig));
    }
    this.current.push(joined);
    return joined;
  }

  /**
   * The server comes back, and with it at once the parts that live on it: by themselves they wait
   * up to a minute before they look again, which is no trouble of ours.
   */
  async returnApiserver(): Promise<void> {
    const fromMs = Date.now();
    await this.cluster.startApiserver();
    this.starts.push({ fromMs, toMs: Date.now() });
    for (const part of ["controllers", "scheduler", "kwok"] as const) {
      await this.cluster.stopPart(part);
      this.cluster.startPart(part);
    }
  }

  /** Ends the planes of a story and takes their machines out of the cluster. */
  async clear(): Promise<string[]> {
    const left: string[] = [];
    for (const one of this.current) left.push(...(await one.close()));
    this.current = [];
    for (const { namespace } of this.works) {
      await this.cluster.request(`/api/v1/namespaces/${namespace}`, { method: "DELETE" });
    }
    this.works.length = 0;
    await this.cluster.request("/api/v1/nodes", { method: "DELETE" });
    return left;
  }

  /** A deployment of pods with a GPU each, and its budget, all running. */
  async work(replicas: number, mayMiss: number): Promise<Work> {
    this.count += 1;
    const namespace = `story-${this.count}`;
    const work = { namespace, replicas, mayMiss };
    this.works.push(work);
    await this.create("/api/v1/namespaces", { metadata: { name: namespace } });
    const budgets = `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`;
    await this.create(budgets, budgetOf(mayMiss));
    await this.create(`/apis/apps/v1/namespaces/${namespace}/deployments`, deploymentOf(replicas));
    await until(`${replicas} pods run`, 60_000, async () => {
      const path = `/apis/apps/v1/namespaces/${namespace}/deployments/work`;
      const { status } = await this.cluster.json<{ status?: { readyReplicas?: number } }>(path);
      return status?.readyReplicas === replicas ? true : null;
    });
    // Only a budget that was counted lets anybody go.
    await until("the budget is counted", 60_000, async () => {
      const { status } = await this.cluster.json<{ status?: { currentHealthy?: number } }>(
        `${budgets}/work`,
      );
      return status?.currentHealthy === replicas ? true : null;
    });
    return work;
  }

  async create(path: string, body: unknown): Promise<unknown> {
    return this.cluster.json(path, { body });
  }

  /** A GPU of the node falls off the bus; the instance's id. */
  breakNode(plane: Plane, node: NodeView): string {
    const id = (node.instance_id ?? "") as InstanceId;
    this.brokenAt.set(id, Date.now());
    injectXid(plane.cloudDir, id, { xid: 79, message: "Xid 79 for a test" });
    return id;
  }

  /** Evictions and deletions of pods that the server carried out for the product. */
  removals(): { uid: string; verb: "evict" | "delete"; name: string; namespace: string }[] {
    const { audit } = this;
    return audit
      .filter(({ objectRef, verb, responseStatus }) => {
        const isEviction = objectRef?.subresource === "eviction" && verb === "create";
        const isDeletion =
          objectRef?.resource === "pods" &&
          objectRef.subresource === undefined &&
          verb === "delete";
        const { code = 0 } = responseStatus ?? {};
        return (isEviction || isDeletion) && code >= 200 && code < 300;
      })
      .map(({ objectRef, requestObject, verb }) => ({
        uid:
          requestObject?.deleteOptions?.preconditions?.uid ??
          requestObject?.preconditions?.uid ??
          "",
        verb: verb === "create" ? ("evict" as const) : ("delete" as const),
        name: objectRef?.name ?? "",
        namespace: objectRef?.namespace ?? "",
      }));
  }

  /** What the product asked, answered. */
  get audit(): Told[] {
    return this.cluster
      .audit()
      .filter(({ user, stage }) => isProduct(user.username) && stage === "ResponseComplete");
  }

  /**
   * A drain is on its way: somebody has left, and no eviction is under way. An eviction is two
   * steps in the server; one that dies in between has spent its budget and deleted nobody, and the
   * budget forgets that only after two minutes, which no story but those about it waits for. From
   * here on nobody else may leave until `allow()`, so that a quick drain is not over by then.
   */
  async waitDraining(work: Work): Promise<void> {
    await this.waitBegun(work);
    await Bun.sleep(SETTLED_MS);
  }

  /** The same, and the next eviction may be under way. */
  async waitBegun(work: Work): Promise<void> {
    await until("a pod was evicted", 30_000, () => (this.evicted(work) > 0 ? true : null));
    await this.setBudget(work, 0);
  }

  /** The budget is as the work was made with. */
  async allow(work: Work): Promise<void> {
    await this.setBudget(work, work.mayMiss);
  }

  private async setBudget({ namespace }: Work, mayMiss: number): Promise<void> {
    await this.cluster.json(`/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets/work`, {
      method: "PATCH",
      contentType: "application/merge-patch+json",
      body: { spec: { maxUnavailable: mayMiss } },
    });
  }

  /** How many pods the product has made leave the work so far. */
  evicted(work: Work): number {
    return this.removals().filter(({ namespace }) => namespace === work.namespace).length;
  }

  /**
   * The rules that hold in every story, as a list of what was broken: no UID is evicted twice, no
   * budget is overdrawn by an eviction, nothing is asked that the role does not allow, and nothing
   * ends before it was empty or its time was over.
   */
  judge(cloudDir: string, limitMs = Number.POSITIVE_INFINITY): string[] {
    const broken: string[] = [];
    const removals = this.removals();
    const times = new Map<string, number>();
    for (const { uid, verb, name } of removals) {
      if (uid === "") broken.push(`${verb} ${name} without a UID`);
      if (verb === "evict") times.set(uid, (times.get(uid) ?? 0) + 1);
    }
    for (const [uid, n] of times) if (n > 1) broken.push(`pod ${uid} was evicted ${n} times`);
    const deleted = new Set(removals.filter((one) => one.verb === "delete").map(({ uid }) => uid));
    const evicted = new Set(times.keys());
    for (const { pod, healthy } of this.witness.disruptions) {
      const work = this.works.find(({ namespace }) => namespace === pod.namespace);
      if (work === undefined || deleted.has(pod.uid) || !evicted.has(pod.uid)) continue;
      const least = work.replicas - work.mayMiss;
      if (healthy < least) broken.push(`${healthy} of ${least} left when ${pod.name} was evicted`);
    }
    const isUp = ({ requestReceivedTimestamp }: AuditEntry): boolean => {
      const atMs = Date.parse(requestReceivedTimestamp);
      return this.starts.every(({ fromMs, toMs }) => atMs < fromMs || atMs > toMs);
    };
    broken.push(...judgeRole(this.audit.filter(isUp)));
    broken.push(...this.judgeEnds(cloudDir, limitMs));
    return broken;
  }

  /** A drain begins after its fault: its time is not over before the fault's age is `limitMs`. */
  private judgeEnds(cloudDir: string, limitMs: number): string[] {
    return endsOf(cloudDir).flatMap(({ id, atMs }) => {
      const left = this.witness.on(`gpu-${id}`, atMs + SEEN_MS).filter(({ phase }) => {
        return phase === "Running" || phase === "Pending";
      });
      const from = this.brokenAt.get(id);
      const isOver = from !== undefined && atMs >= from + limitMs;
      if (left.length === 0 || isOver) return [];
      const after = from === undefined ? "never broken" : `${atMs - from} ms after its fault`;
      return [`${id} was ended with ${left.map(({ name }) => name).join(", ")} on it, ${after}`];
    });
  }
}

/** An eviction takes some 50 ms, and several at once half a second. */
const SETTLED_MS = 1_000;

/** The witness hears of a pod's end a moment after the server has written it down. */
const SEEN_MS = 1_000;

/** Ends of machines that the product asked for, by the cloud's journal. */
export function endsOf(cloudDir: string): { id: string; atMs: number }[] {
  const isOurs = (entry: Entry): entry is Extract<Entry, { kind: "terminate.accepted" }> =>
    entry.kind === "terminate.accepted" && entry.fence !== null;
  return readEntries(cloudDir)
    .filter(isOurs)
    .map(({ id, atMs }) => ({ id, atMs }));
}

/** What the role that was granted does not cover, and whatever was refused for want of a right. */
function judgeRole(entries: readonly Told[]): string[] {
  const broken: string[] = [];
  const rules = [...PRODUCT_RULES, LEASE_RULE];
  for (const { verb, objectRef, responseStatus, requestURI } of entries) {
    if (responseStatus?.code === 403) broken.push(`forbidden: ${verb} ${requestURI}`);
    if (objectRef?.resource === undefined || verb === "") continue;
    const { resource, subresource, apiGroup = "" } = objectRef;
    if (resource === "selfsubjectaccessreviews") continue;
    const full = subresource === undefined ? resource : `${resource}/${subresource}`;
    const isCovered = rules.some(
      (rule) =>
        rule.apiGroups.includes(apiGroup) &&
        rule.resources.includes(full) &&
        rule.verbs.includes(verb),
    );
    if (!isCovered) broken.push(`outside the role: ${verb} ${apiGroup}/${full}`);
  }
  return [...new Set(broken)];
}

/** The machine is ended by the cloud's own word, and another one has its place. */
export async function waitReplaced(plane: Plane, node: NodeView, limitMs: number): Promise<void> {
  await until(`${node.node_id} is replaced`, limitMs, async () => {
    const events = await plane.events(`&node=${node.node_id}`);
    if (events.some(({ kind }) => kind === "node.replaced")) return true;
    throw new Error(await status(plane, node.node_id));
  });
}

/** For people who read why a test failed. */
export async function status(plane: Plane, id: string): Promise<string> {
  const { waits } = await plane.get<{ waits: unknown }>("/plan");
  const { phase } = await plane.get<NodeView>(`/nodes/${id}`);
  const told = (await plane.events(`&node=${id}`)).map(({ kind }) => kind);
  return `${phase}; ${told.join(" ")}; waits ${JSON.stringify(waits)}`;
}

function budgetOf(mayMiss: number): unknown {
  return {
    metadata: { name: "work" },
    spec: { maxUnavailable: mayMiss, selector: { matchLabels: { app: "work" } } },
  };
}

function deploymentOf(replicas: number): unknown {
  const resources = { limits: { "nvidia.com/gpu": "1" } };
  return {
    metadata: { name: "work" },
    spec: {
      replicas,
      selector: { matchLabels: { app: "work" } },
      template: {
        metadata: { labels: { app: "work" } },
        spec: {
          terminationGracePeriodSeconds: 1,
          // The same number everywhere, so that a node that breaks has work on it.
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: "kubernetes.io/hostname",
              whenUnsatisfiable: "ScheduleAnyway",
              labelSelector: { matchLabels: { app: "work" } },
            },
          ],
          containers: [{ name: "c", image: "i", resources }],
        },
      },
    },
  };
}
