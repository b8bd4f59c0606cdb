/**
 * Opens the AgentPools of the cluster that `provisioners` names, for each term of the leader.
 *
 * Adapter: environment, host name, randomness.
 */
import { hostname } from "node:os";
import type { Config, Provisioner } from "../../schema/config.ts";
import type { NodeId } from "../../schema/id.ts";
import { VERSION } from "../../schema/version.ts";
import { type ActorPorts, AgentPoolActor, type WorkerNode } from "../agentpool/actor.ts";
import { openPoolCluster } from "../agentpool/cluster.ts";
import { openGkeTransport } from "../agentpool/gke.ts";
import { openLate, type Reached } from "../agentpool/late.ts";
import { reviewWorkerToken } from "../agentpool/worker-token.ts";
import type { Clock, Log } from "../core/clock.ts";
import { removeWorker } from "../core/fold/worker.ts";
import { isDefinitive } from "../core/safety/evident.ts";
import type { Store } from "../core/store.ts";
import type { Metrics } from "../http/metrics/metrics.ts";
import { openClient } from "../kubernetes/client.ts";
import { type OpenedTransport, openTransport } from "../kubernetes/connect.ts";
import { limited, Limiter } from "../kubernetes/limiter.ts";
import { heard } from "../kubernetes/refusal-log.ts";
import type { Reconciler } from "../runtime/loop.ts";
import { UsageError } from "./start-failure.ts";

export type OpenedPools = Reached & { syncMs: number };

type From = { metrics: Metrics; clock: Clock; log: Log };

/**
 * `null` without a provisioner. A kubeconfig that cannot be used is a usage error; Google, which
 * may be unreachable for a moment, is asked again.
 */
export async function openAgentPools(config: Config, from: From): Promise<OpenedPools | null> {
  const [provisioner] = config.provisioners;
  if (provisioner === undefined) return null;
  const { syncIntervalMs: syncMs } = provisioner;
  const reach = () => reachCluster(config, provisioner, from);
  const reached = await reach();
  if (typeof reached !== "string") return { ...reached, syncMs };
  const why = `provisioners[0].kubernetes: ${reached}`;
  if (provisioner.gke === null) throw new UsageError(why);
  from.log("warn", "the cluster of AgentPools is not reached", { why: reached });
  return { ...openLate(reached, reach, from), syncMs };
}

/** A text is the reason why it cannot be reached. */
async function reachCluster(
  config: Config,
  provisioner: Provisioner,
  { metrics, clock, log }: From,
): Promise<Reached | string> {
  const opened = await transportOf(config, provisioner);
  if (opened.kind === "failed") return opened.message;
  if (opened.kind !== "ok") return "no cluster was found";
  for (const warning of opened.warnings) log("warn", warning);
  const client = openClient(opened.transport, {
    clock,
    count: (verb, resource, pool) => metrics.countKubeWrite(pool ?? "", verb, resource),
    userAgent: `navarch/${VERSION}`,
  });
  const limiter = new Limiter({ clock, perSecondMax: config.kubernetes.writesPerSecondMax });
  const api = heard(limited(client, limiter, clock), { clock, log, isOptional: false });
  const { namespaces } = provisioner;
  const random = (): number => Math.random();
  const cluster = openPoolCluster({ api, clock, random, log, namespaces, instance: hostname() });
  const { server, name } = opened.transport;
  log("info", "agentpools", { server, cluster: name, namespaces });
  return { cluster, api };
}

function transportOf(config: Config, { gke, kubeconfig, context }: Provisioner) {
  if (gke !== null) return openGkeTransport(gke, process.env);
  const named = kubeconfig ?? context;
  const own = named === null ? {} : { kubeconfig, context };
  const settings = { ...config.kubernetes, enabled: true as const, ...own };
  return openTransport(settings, process.env) satisfies Promise<OpenedTransport>;
}

/** The pools of one term, which act once they are started; `null` without a cluster of them. */
export async function openPoolActor(
  opened: OpenedPools | null,
  from: {
    store: Store;
    reconciler: Reconciler;
    clock: Clock;
    log: Log;
    leads(): boolean;
    push: ActorPorts["push"];
    /** Nodes that have a worker's credential. */
    joined(): readonly WorkerNode[];
    /** Ends the credential of a node whose pod is gone. */
    forget(node: NodeId, uid: string): Promise<void>;
  },
): Promise<AgentPoolActor | null> {
  if (opened === null) return null;
  const { cluster, api, syncMs } = opened;
  const { store, reconciler, clock, log, leads, push, joined, forget } = from;
  return AgentPoolActor.open({
    ...{ cluster, table: store.workerTable(), clock, log, leads, syncMs, push },
    random: () => Math.random(),
    review: (token) => reviewWorkerToken(api, token),
    agent(id) {
      const node = reconciler.fleet().nodes.get(id);
      if (node === undefined) return null;
      const { presence } = reconciler;
      const isFatal = node.health.verdict === "unhealthy" && isDefinitive(node);
      const isSilent = node.health.silentSince !== null;
      return { isHeard: presence.isHeard(id), isSilent, isFatal };
    },
    workerNodes() {
      const nodes = [...reconciler.fleet().nodes.values()];
      const seen = nodes.flatMap(({ id, worker }): WorkerNode[] => {
        return worker === null ? [] : [{ id, uid: worker.uid }];
      });
      // An agent may join and never report.
      return [...new Map([...joined(), ...seen].map((one) => [one.id, one])).values()];
    },
    async retire(nodes) {
      const now = clock.wallMs();
      await reconciler.change((work) => {
        for (const { id, uid } of nodes) removeWorker(work, id, uid, now);
      });
      for (const { id, uid } of nodes) await forget(id, uid);
    },
  });
}
