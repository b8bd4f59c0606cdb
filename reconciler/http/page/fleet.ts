/** The first page: what needs a person, the pools, and the nodes, sick ones first. Pure. */
import { html } from "hono/html";
import type { AgentPoolSummary } from "../../../schema/agentpool-view.ts";
import type { NodeView } from "../../../schema/api.ts";
import {
  type FleetCounts,
  HEALTH_WORDS,
  type NodeFilter,
  NODE_STATES,
  NODES_PER_PAGE,
  type NodeState,
} from "../view/fleet.ts";
import type { GpuHealthView } from "../view/gpu.ts";
import type { Need } from "../view/need.ts";
import type { StatusView } from "../view/pool.ts";
import { formatPager, formatTone, plainText, withQuery } from "./kit.ts";
import {
  agentPoolPath,
  facts,
  firstOf,
  gpuStrip,
  link,
  nodeLink,
  NOTHING,
  perHour,
  poolCost,
  poolLink,
  poolPath,
  since,
  stateCell,
  stateWords,
  text,
  toneOfState,
} from "./node-cell.ts";
import type { Block, Html, Page, Row } from "./page.ts";

export type FleetRow = {
  view: NodeView;
  state: NodeState;
  gpus: GpuHealthView[];
  /** What is being done, and since when. */
  step: string;
  /** What it waits for. */
  wait: { message: string; until: string | null } | null;
  price: number | null;
};

export type PoolRow = { status: StatusView; blockers: string[] };

export type FleetValues = {
  url: URL;
  filter: NodeFilter;
  counts: FleetCounts;
  total: number;
  page: number;
  rows: FleetRow[];
  pools: PoolRow[];
  /** `null`: this fleet serves none. */
  agentPools: AgentPoolSummary[] | null;
  needs: Need[];
};

export function fleetPage(values: FleetValues): Page {
  const { agentPools } = values;
  return {
    title: "Fleet",
    nav: "/fleet",
    blocks: [
      needsBlock(values.needs),
      summaryBlock(values),
      poolsBlock(values.pools),
      ...(agentPools === null || agentPools.length === 0 ? [] : [agentPoolsBlock(agentPools)]),
      nodesBlock(values),
    ],
  };
}

function needsBlock(needs: readonly Need[]): Block {
  return {
    id: "needs",
    heading: "Needs a person",
    kind: "table",
    above: null,
    columns: [{ name: "What" }, { name: "Why" }],
    rows: needs.map((need) => ({
      id: `need-${need.kind}-${need.name}`,
      tone: need.isBroken ? ("bad" as const) : ("warn" as const),
      cells: [needLink(need), text(need.why)],
    })),
    empty: "Nothing: the fleet repairs itself, or is well.",
    below: null,
  };
}

function needLink({ kind, name }: Need): Html {
  switch (kind) {
    case "node":
      return nodeLink(name);
    case "pool":
      return html`Pool ${poolLink(name)}`;
    case "fleet":
      return link("/safety", name);
  }
}

/** States of the summary; each links to its nodes. */
const SUMMED = NODE_STATES.filter((state) => state !== "gone");

function summaryBlock({ counts, url }: FleetValues): Block {
  const fleet = new URL("/fleet", url);
  const shown = SUMMED.filter((state) => state === "serving" || counts[state] > 0);
  const body = facts([
    ["nodes", html`${counts.nodes}`],
    ...shown.map((state) => {
      const href = `${withQuery(fleet, { state })}#nodes`;
      const tone = counts[state] === 0 ? "off" : toneOfState(state);
      const count = formatTone(tone, `${counts[state]}`);
      return [stateWords(state), html`<a href="${href}">${count}</a>`] as const;
    }),
    ["GPUs in service", html`${counts.gpusServing} of ${counts.gpus}`],
  ]);
  return { id: "summary", heading: "Summary", kind: "text", body };
}

function poolsBlock(pools: readonly PoolRow[]): Block {
  return {
    id: "pools",
    heading: "Pools",
    kind: "table",
    above: null,
    columns: [
      { name: "Pool" },
      { name: "Nodes", align: "right" },
      { name: "Wanted", align: "right" },
      { name: "Health" },
      { name: "What holds it back" },
      { name: "Cost", align: "right" },
    ],
    rows: pools.map(poolRow),
    empty: "No pools are configured.",
    below: null,
  };
}

const BLOCKERS_SHOWN = 2;

function poolRow({ status, blockers }: PoolRow): Row {
  const { name, total_nodes: total, desired, provisioning, draining, hold } = status;
  const coming = provisioning > 0 ? [`${provisioning} starting`] : [];
  const leaving = draining > 0 ? [`${draining} draining`] : [];
  const more = [...coming, ...leaving].join(", ");
  const cost = status.cost;
  return {
    id: `pool-${name}`,
    ...(isPoolSick(status) ? { tone: "warn" as const } : {}),
    cells: [
      html`${poolLink(name)}${hold === null ? "" : html` ${formatTone("warn", "held")}`}`,
      html`${total}${more === "" ? "" : html`<br><span class="soft">${more}</span>`}`,
      html`${desired} <span class="soft">(${status.min_nodes}–${status.max_nodes})</span>`,
      poolHealth(status),
      firstOf(blockers, BLOCKERS_SHOWN, poolPath(name)),
      poolCost(cost),
    ],
  };
}

const isPoolSick = ({ unhealthy_nodes: bad, hold, cannot_scale_up: bar }: StatusView): boolean =>
  bad > 0 || hold !== null || bar !== null;

export function poolHealth(status: StatusView): Html {
  const { total_nodes: total, unhealthy_nodes: bad, cordoned_nodes: cordoned } = status;
  const mark = cordoned === 0 ? "" : html`<br><span class="soft">${cordoned} cordoned</span>`;
  if (total === 0) return formatTone("off", "no nodes");
  const missing = status.desired - status.healthy_nodes;
  const short = missing > 0 ? formatTone("busy", `${missing} short`) : formatTone("ok", "healthy");
  const state = bad === 0 ? short : formatTone("bad", `${bad} unhealthy`);
  return html`${state}${mark}`;
}

function agentPoolsBlock(pools: readonly AgentPoolSummary[]): Block {
  return {
    id: "agentpools",
    heading: "AgentPools",
    kind: "table",
    above: null,
    columns: [
      { name: "AgentPool" },
      { name: "Workers", align: "right" },
      { name: "Idle slots", align: "right" },
      { name: "Queued claims", align: "right" },
      { name: "What holds it back" },
    ],
    rows: pools.map((pool) => {
      const { namespace, name, size, min, max, reason } = pool;
      const bounds = min === null ? "" : ` (${min}–${max})`;
      return {
        id: `agentpool-${namespace}/${name}`,
        ...(reason === null ? {} : { tone: "warn" as const }),
        cells: [
          link(agentPoolPath(namespace, name), `${namespace}/${name}`),
          html`${size}<span class="soft">${bounds}</span>`,
          html`${pool.idle}`,
          html`${pool.queued}`,
          text(reason),
        ],
      };
    }),
    empty: "No AgentPools exist.",
    below: null,
  };
}

function nodesBlock(values: FleetValues): Block {
  const { url, rows, page, total, filter } = values;
  const isNarrow = filter.pool !== null || filter.state !== null || filter.health !== null;
  const none = isNarrow || filter.text !== "" ? "No node matches the filter." : "No nodes exist.";
  return {
    id: "nodes",
    heading: "Nodes",
    kind: "table",
    above: filterForm(values),
    columns: NODE_COLUMNS,
    rows: rows.map(nodeRow),
    empty: none,
    below: formatPager(url, page, NODES_PER_PAGE, total),
  };
}

export const NODE_COLUMNS = [
  { name: "Node" },
  { name: "State" },
  { name: "GPUs" },
  { name: "What is done" },
  { name: "Waits for" },
  { name: "Pool" },
  { name: "Cost", align: "right" },
] as const;

/** A message names its evidence; the node's page has all of it. */
const MESSAGE_CHARS_MAX = 240;

export function nodeRow({ view, state, gpus, step, wait, price }: FleetRow): Row {
  const [why] = view.reasons;
  const cause = why === undefined || state === "serving" ? "" : html`<br><span>${cut(why)}</span>`;
  const place = [view.instance_type, view.zone ?? view.region].filter((one) => one !== null);
  return {
    id: `node-${view.node_id}`,
    ...(state === "serving" ? {} : { tone: toneOfState(state) }),
    cells: [
      html`${nodeLink(view.node_id)}<br><span class="soft">${plainText(place.join(", "))}</span>`,
      html`${stateCell(state)}${cause}`,
      gpuStrip(gpus),
      state === "serving" ? NOTHING : stepCell(step, stepSince(view)),
      wait === null || state === "serving" ? NOTHING : waitCell(wait),
      poolLink(view.pool),
      perHour(price),
    ],
  };
}

/** A node in service is here for its cordon. */
function stepSince({ phase, phase_since: since, cordons }: NodeView): string {
  const cordon = cordons.human ?? cordons.product;
  return phase === "serving" && cordon !== null ? cordon.at : since;
}

const stepCell = (step: string, at: string): Html =>
  html`${step}<br><span class="soft">since ${since(at)}</span>`;

const cut = (message: string): string => {
  const plain = plainText(message);
  return plain.length > MESSAGE_CHARS_MAX ? `${plain.slice(0, MESSAGE_CHARS_MAX)}…` : plain;
};

function waitCell({ message, until }: NonNullable<FleetRow["wait"]>): Html {
  if (until === null) return html`${cut(message)}`;
  return html`${cut(message)}<br><span class="soft">next decision ${since(until)}</span>`;
}

function filterForm({ filter, pools, total }: FleetValues): Html {
  const names = pools.map(({ status }) => status.name);
  const health = filter.health?.slice("HEALTH_STATUS_".length).toLowerCase() ?? "";
  const states = NODE_STATES.map((state) => [state, stateWords(state)] as const);
  return html`<form class="line" method="get" action="/fleet#nodes" role="search"
    aria-label="Filter nodes">
${select(
  "pool",
  "Pool",
  filter.pool ?? "",
  names.map((name) => [name, name] as const),
)}
${select("state", "State", filter.state ?? "", states)}
${select(
  "health",
  "Health",
  health,
  HEALTH_WORDS.map((one) => [one, one] as const),
)}
<label>Name, place or GPU
<input type="search" name="q" value="${filter.text}" maxlength="200"></label>
<span class="actions"><button>Filter</button> <a class="button" href="/fleet#nodes">Clear</a>
<span class="soft">${total} node${total === 1 ? "" : "s"}</span></span>
</form>`;
}

function select(
  name: string,
  label: string,
  chosen: string,
  choices: readonly (readonly [string, string])[],
): Html {
  const options = choices.map(([value, words]) => {
    const mark = value === chosen ? html` selected` : "";
    return html`<option value="${value}"${mark}>${words}</option>`;
  });
  return html`<label>${label}
<select name="${name}"><option value="">all</option>${options}</select></label>`;
}
