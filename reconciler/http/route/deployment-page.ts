/**
 * The page `/deployment`, the pages of its pods, and their actions. They show what the console's
 * API answers and call it; they are for administrators on internal networks alone.
 */
import { html } from "hono/html";
import type { ClusterNode, Pod } from "../../../schema/console/cluster.ts";
import type { Asked as Answer, ConsoleCluster } from "../../core/console/cluster.ts";
import { FLUX_VERBS, type PodRef } from "../../core/console/cluster.ts";
import { fluxKindOf } from "../../core/console/flux.ts";
import { fleetLine, viewNodes } from "../../core/console/node.ts";
import { pathOf, say } from "../page/cell.ts";
import { deploymentPage, NODES_SHOWN, podPath } from "../page/deployment.ts";
import type { Page } from "../page/page.ts";
import { podEventsPage, podLogPage, podPage, TAIL_DEFAULT, TAILS } from "../page/pod.ts";
import { clusterOf, isPlace, NO_CLUSTER, valueOf } from "./console-cluster.ts";
import { readPipelines } from "./pipeline.ts";
import { invalid, Refusal } from "./request.ts";
import type { ActionRoute, Asked, PageRoute } from "./site.ts";
import type { ConsolePorts } from "./console-cluster.ts";

const PODS_SHOWN = 50;
const PIPELINES_SHOWN = 20;

const ADMIN = { role: "admin", internal: true } as const;
const POD = "/deployment/pod/:namespace/:name";

async function buildDeployment(asked: Asked, ports: ConsolePorts): Promise<Page> {
  const { console: cluster } = ports;
  const [type, kind, name] = [asked.query("type"), asked.query("kind"), asked.query("name")];
  const [namespace, q, after] = [asked.query("namespace"), asked.query("q"), asked.query("after")];
  const page = asked.query("page") ?? "1";
  if (!/^[1-9]\d{0,5}$/.test(page)) return invalid("page: expected a whole number from 1 on");
  if (after !== null && !isPlace(after)) return invalid("after: expected NAMESPACE/NAME");
  const query = { namespace, limit: PODS_SHOWN, after: after ?? "" };
  const { reconciler } = ports;
  const fleet = reconciler.fleet();
  // Pipelines are there without a cluster, too.
  const ask = <T>(of: (from: ConsoleCluster) => Promise<Answer<T>>): Promise<Answer<T>> =>
    cluster === null ? Promise.resolve(NO_CLUSTER) : of(cluster);
  const [stats, nodes, pods, flux, events, namespaces, pipelines] = await Promise.all([
    ask((from) => from.stats({ namespace })),
    ask((from) => from.nodes()),
    ask((from) => from.pods(query)),
    ask((from) => from.flux()),
    ask((from) => from.events({ namespace, type, kind, name, text: q })),
    ask((from) => from.namespaces()),
    readPipelines(ports, PIPELINES_SHOWN),
  ]);
  const line = fleetLine(fleet, reconciler.activeConfig());
  const first = (Number(page) - 1) * NODES_SHOWN;
  const pageOf = (all: readonly ClusterNode[]) => ({
    shown: viewNodes(all.slice(first, first + NODES_SHOWN), fleet.nodes.values()),
    total: all.length,
  });
  return deploymentPage({
    url: asked.url,
    filters: { namespace, type, kind, name, q },
    namespaces: namespaces.kind === "ok" ? namespaces.value : [],
    stats: stats.kind === "ok" ? { kind: "ok", value: { ...stats.value, fleet: line } } : stats,
    writer: ports.store.writerLoad(),
    nodesPage: Number(page),
    nodes: nodes.kind === "ok" ? { kind: "ok", value: pageOf(nodes.value) } : nodes,
    ...{ pods, after, pipelines, flux, events },
  });
}

/** Throws for a name that no object can have. */
function refOf(asked: Asked): PodRef {
  const [namespace, name] = [asked.param("namespace"), asked.param("name")];
  if (isPlace(`${namespace}/${name}`)) return { namespace, name };
  throw new Refusal("not_found", `no pod ${namespace}/${name}`);
}

async function podOf(asked: Asked, ports: ConsolePorts): Promise<Pod> {
  return valueOf(await clusterOf(ports).pod(refOf(asked)));
}

async function buildLog(asked: Asked, ports: ConsolePorts): Promise<Page> {
  const pod = await podOf(asked, ports);
  const container = asked.query("container");
  const previous = asked.query("previous") === "true";
  const tail = asked.query("tail") ?? TAIL_DEFAULT;
  if (!TAILS.some((one) => one === tail)) return invalid(`tail: expected ${TAILS.join(", ")}`);
  const { namespace, name } = pod;
  const query = { namespace, name, container, previous, tailLines: Number(tail) };
  const log = await clusterOf(ports).logs(query);
  return podLogPage(pod, { container, previous, tail }, log);
}

const forceField = (label: string) =>
  html`<label class="check"><input type="checkbox" name="force" value="true"> ${label}</label>`;

function messageOf(answer: unknown): string {
  const { message } = (answer ?? {}) as { message?: unknown };
  return typeof message === "string" ? message : "done";
}

const FLUX_WORDS = {
  reconcile: ["Reconcile", "Flux fetches its source and applies it now, not at its next interval."],
  suspend: ["Suspend", "Flux applies nothing of it until it is resumed; what runs stays."],
  resume: ["Resume", "Flux applies what its source holds now, which may replace running pods."],
} as const;

export const deploymentPages: readonly PageRoute<ConsolePorts>[] = [
  {
    ...ADMIN,
    path: "/deployment",
    label: "Deployment",
    build: (asked, ports) => buildDeployment(asked, ports),
  },
  {
    ...ADMIN,
    path: POD,
    build: async (asked, ports) => podPage(await podOf(asked, ports)),
  },
  {
    ...ADMIN,
    path: `${POD}/events`,
    async build(asked, ports) {
      const pod = await podOf(asked, ports);
      const { namespace, name } = pod;
      const query = { namespace, type: null, kind: "Pod", name, text: null };
      return podEventsPage(pod, await clusterOf(ports).events(query));
    },
  },
  {
    ...ADMIN,
    path: `${POD}/logs`,
    live: false,
    isRecorded: true,
    act: ["logs", "pod"],
    build: (asked, ports) => buildLog(asked, ports),
  },
];

export const deploymentActions: readonly ActionRoute<ConsolePorts>[] = [
  {
    ...ADMIN,
    path: `${POD}/restart`,
    async confirm(asked, ports) {
      const { namespace, name, owner, nodeName } = await podOf(asked, ports);
      const who = owner === null ? null : `${owner.kind} ${owner.name}`;
      return {
        title: `Restart ${namespace}/${name}`,
        nav: "/deployment",
        body: html`<p>Pod <b>${say(namespace)}/${say(name)}</b> on node ${say(nodeName)} is evicted
          with its own grace period, within its disruption budget. ${
            who === null
              ? html`<b>Nothing replaces it</b>: it has no controller.`
              : html`${say(who)} starts another one, with a new name or place if it chooses so.`
          } Work in memory is lost.</p>`,
        fields: who === null ? forceField("Evict it although nothing replaces it") : html``,
        button: `Restart ${namespace}/${name}`,
        danger: who === null,
        back: podPath(namespace, name),
      };
    },
    async run(asked, form, call) {
      const { namespace, name } = refOf(asked);
      const body = { namespace, force: form.get("force") === "true" };
      const path = `/api/admin/kubernetes/pods/${encodeURIComponent(name)}/restart`;
      return { notice: messageOf(await call("POST", path, body)), to: "/deployment" };
    },
  },
  {
    ...ADMIN,
    path: `${POD}/kill`,
    async confirm(asked, ports) {
      const { namespace, name, stuck, nodeName } = await podOf(asked, ports);
      if (stuck === null) {
        const pod = `${namespace}/${name}`;
        throw new Refusal("conflict", `pod ${pod} is not stuck; restart it, or let it end`);
      }
      return {
        title: `Terminate ${namespace}/${name}`,
        nav: "/deployment",
        body: html`<p>Pod <b>${say(namespace)}/${say(name)}</b> on node ${say(nodeName)} is stuck
          (${stuck}). It is deleted at once, without grace, and its disruption budget does not
          count. If its node does not answer, its processes may go on there while another pod starts
          under the same name.</p>`,
        fields: forceField("Terminate it also if it belongs to a StatefulSet"),
        button: `Terminate ${namespace}/${name}`,
        danger: true,
        back: podPath(namespace, name),
      };
    },
    async run(asked, form, call) {
      const { namespace, name } = refOf(asked);
      const body = { namespace, force: form.get("force") === "true" };
      const path = `/api/admin/kubernetes/pods/${encodeURIComponent(name)}/kill`;
      return { notice: messageOf(await call("POST", path, body)), to: "/deployment" };
    },
  },
  ...FLUX_VERBS.map((verb): ActionRoute<ConsolePorts> => {
    const [word, consequence] = FLUX_WORDS[verb];
    return {
      ...ADMIN,
      path: `/deployment/flux/:kind/:namespace/:name/${verb}`,
      confirm(asked) {
        const kind = fluxKindOf(asked.param("kind"));
        const { namespace, name } = refOf(asked);
        if (kind === null) throw new Refusal("not_found", `no kind ${asked.param("kind")}`);
        const about = `${kind} ${namespace}/${name}`;
        return {
          title: `${word} ${about}`,
          nav: "/deployment",
          body: html`<p><b>${about}</b>: ${consequence}</p>`,
          fields: html``,
          button: `${word} ${about}`,
          back: "/deployment",
        };
      },
      async run(asked, _form, call) {
        const { namespace, name } = refOf(asked);
        const object = pathOf([asked.param("kind").toLowerCase(), namespace, name, verb]);
        const answer = await call("POST", `/api/admin/kubernetes/flux${object}`);
        return { notice: messageOf(answer), to: "/deployment" };
      },
    };
  }),
];
