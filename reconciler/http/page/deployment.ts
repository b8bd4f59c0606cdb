/**
 * The page `/deployment`: overview, nodes, pods, pipelines, Flux and events of the Kubernetes
 * cluster. A section whose data cannot be read says why, and the others stay. Pure.
 */
import { html } from "hono/html";
import type { ConsoleNode, ConsoleStats, FluxList, Pod } from "../../../schema/console/cluster.ts";
import type { ClusterEvent, NodeGpu, ResourceName } from "../../../schema/console/cluster.ts";
import { RESOURCES } from "../../../schema/console/cluster.ts";
import type { Pipeline } from "../../../schema/console/pipeline.ts";
import type { Asked } from "../../core/console/cluster.ts";
import { suggestForStore } from "../../core/console/suggestion.ts";
import type { WriterLoad } from "../../core/store.ts";
import { formatPager, formatTone } from "./kit.ts";
import { idOf, NOTHING, pathOf, say, sayAction, sayAge, sayCount } from "./cell.ts";
import { hrefOf, sayFilters, sayLink, sayPool, saySuggestions } from "./cell.ts";
import { eventsBlock, fluxBlock, pipelinesBlock } from "./deployment-list.ts";
import type { Block, Html, Page, Row, Tone } from "./page.ts";

/** Three tables share the page, which stays below 300 KiB. */
export const NODES_SHOWN = 50;

/** Filters as the URL has them; `null` = any. */
export type DeploymentFilters = {
  namespace: string | null;
  type: string | null;
  kind: string | null;
  name: string | null;
  q: string | null;
};

export type DeploymentPageFrom = {
  url: URL;
  filters: DeploymentFilters;
  namespaces: readonly string[];
  stats: Asked<ConsoleStats>;
  writer: WriterLoad;
  /** The page of nodes that is shown; 1 is the first. */
  nodesPage: number;
  nodes: Asked<{ shown: ConsoleNode[]; total: number }>;
  pods: Asked<{ pods: Pod[]; next: string }>;
  /** Where this page of pods begins; `null` = at the first. */
  after: string | null;
  pipelines: readonly Pipeline[];
  flux: Asked<FluxList>;
  events: Asked<ClusterEvent[]>;
};

export function deploymentPage(from: DeploymentPageFrom): Page {
  return {
    title: "Deployment",
    nav: "/deployment",
    blocks: [
      overviewBlock(from.stats, from.writer),
      nodesBlock(from),
      podsBlock(from),
      pipelinesBlock(from.pipelines),
      fluxBlock(from.flux),
      eventsBlock(from),
    ],
  };
}

/** Why a section is empty. */
export const whyEmpty = (asked: Asked<unknown>, empty: string): string =>
  asked.kind === "ok" ? empty : `Cannot be read: ${asked.message}`;

const HEALTH: Record<ConsoleStats["health"], Tone> = {
  healthy: "ok",
  degraded: "warn",
  unhealthy: "bad",
};

function overviewBlock(asked: Asked<ConsoleStats>, writer: WriterLoad): Block {
  const head = { id: "overview", heading: "Overview" } as const;
  if (asked.kind === "failed") {
    return { ...head, kind: "text", body: html`<p>${whyEmpty(asked, "")}</p>` };
  }
  const { nodes, pods, deployments, services, health, utilisation, fleet } = asked.value;
  const { running, pending, failed, succeeded, unknown } = pods;
  const split = `${running} running, ${pending} pending, ${failed} failed, ${succeeded} succeeded`;
  const below = fleet.below_minimum.map(({ pool, serving, minimum }) => {
    return `${pool} ${serving} of ${minimum}`;
  });
  const cards: [string, Html][] = [
    ["Health", formatTone(HEALTH[health], health)],
    ["Nodes", sayCount(nodes)],
    ["Pods", html`${pods.total}<br><span class="small">${split}, ${unknown} unknown</span>`],
    ["Deployments", sayCount(deployments)],
    ["Services", sayCount(services)],
    ["Nodes in repair", sayCount(fleet.in_repair)],
    ["Pools below minimum", say(below.length === 0 ? "none" : below.join(", "))],
    ["Database", sayWriter(writer)],
    ...RESOURCES.map((name): [string, Html] => [WORDS[name], sayUse(utilisation[name])]),
  ];
  const body = html`<dl class="facts">
    ${cards.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
  return { ...head, kind: "text", body };
}

/** Figures only while it is slow: they change all the time, and a stream sends each change. */
function sayWriter(load: WriterLoad): Html {
  const suggestions = suggestForStore(load);
  if (suggestions.length === 0) return formatTone("ok", "answers");
  const { busyPercent, waitSeconds } = load;
  const busy = `slow: ${Math.round(busyPercent)} % busy, ${waitSeconds.toFixed(1)} s wait`;
  return html`${formatTone("warn", busy)}${saySuggestions(suggestions)}`;
}

const WORDS: Record<ResourceName, string> = {
  cpu: "CPU",
  memory: "Memory",
  storage: "Storage",
  gpu: "GPUs",
};

function sayUse({ percent, basis }: ConsoleStats["utilisation"][ResourceName]): Html {
  if (percent === null) return html`unknown`;
  return html`<meter min="0" max="100" value="${Math.min(100, percent)}" aria-hidden="true"></meter>
    ${Math.round(percent)} % ${basis}`;
}

function nodesBlock({ url, nodes, nodesPage }: DeploymentPageFrom): Block {
  const { shown, total } = nodes.kind === "ok" ? nodes.value : { shown: [], total: 0 };
  return {
    id: "nodes",
    heading: "Nodes",
    kind: "table",
    above: null,
    columns: [
      { name: "Node" },
      { name: "Status" },
      { name: "Pool" },
      { name: "GPUs", align: "right" },
      { name: "Verdict" },
      { name: "Cordoned by" },
      { name: "Repair" },
      { name: "Kubelet" },
      { name: "Actions" },
    ],
    rows: shown.map(nodeRow),
    empty: whyEmpty(nodes, "The cluster has no nodes."),
    below: formatPager(url, nodesPage, NODES_SHOWN, total),
  };
}

function nodeRow(one: ConsoleNode): Row {
  const { name, status, node, pool, gpu, cordon, repair, version } = one;
  const tone: Tone = status === "Ready" ? "ok" : status.startsWith("Ready") ? "warn" : "bad";
  const title = node === null ? say(name) : sayLink(pathOf(["fleet", "node", node]), name);
  return {
    id: idOf("node", name),
    tone: repair === null ? tone : "busy",
    cells: [
      title,
      formatTone(tone, status),
      sayPool(pool),
      html`${gpu.allocatable} of ${gpu.count}`,
      sayVerdict(gpu),
      sayCordon(one),
      repair === null
        ? NOTHING
        : html`${say(repair.step)} ${sayAge(repair.stepSince)}<br><span class="small"
          >repair ${say(repair.id)}, begun ${sayAge(repair.since)}: ${say(
            repair.reasons.join("; "),
          )}</span>`,
      say(version),
      node === null ? html`not of this fleet` : nodeActions(node, cordon !== null),
    ],
  };
}

const VERDICT: Readonly<Record<string, Tone>> = {
  healthy: "ok",
  degraded: "warn",
  unhealthy: "bad",
};

function sayVerdict({ verdict, worst }: NodeGpu): Html {
  const tone = formatTone(VERDICT[verdict] ?? "off", verdict);
  return worst === null ? tone : html`${tone}<br><span class="small">${say(worst)}</span>`;
}

function sayCordon({ cordon, unschedulable }: ConsoleNode): Html {
  if (cordon === null) return unschedulable ? html`unknown` : NOTHING;
  const { owner, reason, since, preexisting } = cordon;
  return html`${say(owner)}${reason === null ? "" : html`: ${say(reason)}`}${
    since === null ? "" : html` ${sayAge(since)}`
  }${preexisting ? html` (also cordoned before)` : ""}`;
}

function nodeActions(node: string, isCordoned: boolean): Html {
  const verbs = [isCordoned ? "uncordon" : "cordon", "drain", "replace"];
  return html`<span class="actions">${verbs.map((verb) => {
    const word = `${verb.charAt(0).toUpperCase()}${verb.slice(1)}`;
    return sayAction(pathOf(["fleet", "node", node, verb]), word, node);
  })}</span>`;
}

/** The path of a pod: identity is the pair. */
export const podPath = (namespace: string, name: string, ...more: readonly string[]): string =>
  pathOf(["deployment", "pod", namespace, name, ...more]);

export function podTone({ status, stuck, phase }: Pod): Tone {
  if (phase === "Failed" || stuck === "CrashLoopBackOff") return "bad";
  if (stuck !== null) return "warn";
  if (phase === "Succeeded") return "off";
  return status === "Running" ? "ok" : "busy";
}

function podsBlock({ filters, namespaces, pods, after }: DeploymentPageFrom): Block {
  const { namespace, ...others } = filters;
  const value = pods.kind === "ok" ? pods.value : { pods: [], next: "" };
  const link = (to: string | null): string =>
    `${hrefOf("/deployment", { ...filters, after: to })}#pods`;
  const below =
    after === null && value.next === ""
      ? null
      : html`<nav aria-label="Pages of pods">
          ${after === null ? "" : html`<a href="${link(null)}">First</a>`}
          ${value.next === "" ? "" : html`<a rel="next" href="${link(value.next)}">Next</a>`}
        </nav>`;
  return {
    id: "pods",
    heading: "Pods",
    kind: "table",
    above: sayFilters(
      "/deployment",
      "Filter pods",
      [{ name: "namespace", label: "Namespace", value: namespace, choices: namespaces }],
      others,
    ),
    columns: [
      { name: "Pod" },
      { name: "Namespace" },
      { name: "Status" },
      { name: "Ready", align: "right" },
      { name: "Restarts", align: "right" },
      { name: "Node" },
      { name: "Created" },
      { name: "Suggestions" },
      { name: "Actions" },
    ],
    rows: value.pods.map(podRow),
    empty: whyEmpty(pods, namespace === null ? "No pods." : `No pods in ${namespace}.`),
    below,
  };
}

function podRow(pod: Pod): Row {
  const { name, namespace, containers, nodeName, creationTimestamp, scaling } = pod;
  const tone = podTone(pod);
  const ready = containers.filter((one) => one.ready).length;
  const scales = scaling ? html` <span class="soft">scaling</span>` : "";
  const restarts = containers.reduce((sum, one) => sum + one.restartCount, 0);
  return {
    id: idOf("pod", namespace, name),
    tone,
    cells: [
      sayLink(podPath(namespace, name), name),
      say(namespace),
      html`${formatTone(tone, pod.status)}${scales}`,
      html`${ready}/${containers.length}`,
      sayCount(restarts),
      say(nodeName),
      sayAge(creationTimestamp),
      saySuggestions(pod.suggestions),
      podActions(pod),
    ],
  };
}

/** The button that ends a pod without grace is there only for one that is stuck. */
export function podActions({ name, namespace, stuck }: Pod): Html {
  const about = `pod ${namespace}/${name}`;
  const kill = sayAction(podPath(namespace, name, "kill"), "Terminate", about);
  return html`<span class="actions">${sayAction(
    podPath(namespace, name, "restart"),
    "Restart",
    about,
  )}${stuck === null ? "" : kill}</span>`;
}
