/** Pages of the fleet: what is broken, what is done about it, and why it waits. */
import { LIMIT } from "../../../schema/limit.ts";
import type { Event } from "../../../schema/event.ts";
import type { Node } from "../../../schema/node.ts";
import { judgeCommand } from "../../core/fold/command.ts";
import { COMMAND_TYPES, type CommandType } from "../../../schema/command.ts";
import { agentPoolPage } from "../page/agentpool.ts";
import { type FleetRow, fleetPage } from "../page/fleet.ts";
import { nodePage } from "../page/node.ts";
import type { Page, ReaderRole } from "../page/page.ts";
import { poolPage } from "../page/pool.ts";
import { summarize, viewAgentPool } from "../view/agentpool.ts";
import { viewPoolCosts } from "../view/cost.ts";
import { poolWaits } from "../view/explain.ts";
import { HEALTH_WORDS, type ListedNode, listFleet } from "../view/fleet.ts";
import { NODE_STATES, nodeFilterOf, nodeStateOf } from "../view/fleet.ts";
import { viewGpuHealth, viewNodeFindings } from "../view/gpu.ts";
import { saySuspects } from "../view/held-back.ts";
import { viewNeeds } from "../view/need.ts";
import { conditionsOf } from "../view/pool.ts";
import { isoOrNull, viewHealthEvent } from "../view/node.ts";
import { sayPhase, viewRepair } from "../view/repair.ts";
import { viewEvent } from "./admin.ts";
import { agentPoolNamed } from "./agentpool.ts";
import type { RoutePorts } from "./route.ts";
import { nodeNamed, viewCommand } from "./locate-node.ts";
import { attemptsOf, explainOf, rungOf, viewOf } from "./node.ts";
import { explainPoolOf, poolNamed, statusView } from "./pool.ts";
import { invalid, sayNear } from "./request.ts";
import { safetySource } from "./safety.ts";
import type { Asked, PageRoute } from "./site.ts";
import type { NodePorts } from "./node.ts";
import { sayWait } from "../../core/say/wait.ts";

/** Events read for one page; a repair has about a dozen. */
const EVENTS_READ = 200;
const EVENTS_SHOWN = 50;

function fleet(ports: RoutePorts, { url }: Asked): Page {
  const { reconciler, agentPools } = ports;
  const { nodes, pools: states } = reconciler.fleet();
  checkFilter(url.searchParams, "state", NODE_STATES);
  checkFilter(url.searchParams, "health", HEALTH_WORDS);
  const filter = nodeFilterOf(url.searchParams);
  const list = listFleet(nodes.values(), reconciler.lastPlan(), filter);
  const byPool = Map.groupBy(nodes.values(), (one) => one.pool);
  const safety = safetySource(ports);
  const costs = viewPoolCosts(safety);
  const { plan, now, sight } = safety;
  const conditions = { facts: safety.fleet.facts, plan, now, providers: sight?.providers ?? null };
  const pools = reconciler.activeConfig().pools.map((one) => {
    const own = byPool.get(one.name) ?? [];
    const status = statusView(ports, one, own, costs.get(one.name) ?? FREE);
    const state = states.get(one.name);
    const waits = [...saySuspects(one, state, now), ...poolWaits(one, safety)];
    const told = new Set(conditionsOf(one, conditions));
    const blockers = [...waits, ...status.conditions.filter((line) => !told.has(line))];
    return { pool: one, state, status, blockers };
  });
  return fleetPage({
    url,
    filter,
    counts: list.counts,
    total: list.total,
    page: list.page,
    rows: list.rows.map((row) => rowOf(ports, row)),
    pools,
    agentPools: agentPools.whyNot() === null ? agentPools.pools().map(summarize) : null,
    needs: viewNeeds({ safety, pools, urgent: list.urgent }),
  });
}

/** A misspelt filter must not read as "all of them". */
function checkFilter(query: URLSearchParams, name: string, allowed: readonly string[]): void {
  const given = query.get(name) || null;
  if (given === null || allowed.includes(given)) return;
  invalid(`${name}: expected ${allowed.join(", ")}${sayNear(given, allowed)}`);
}

const FREE = { per_hour: 0, unknown_prices: 0, today: 0, month: 0 };

function rowOf(ports: RoutePorts, { node, state, wait }: ListedNode): FleetRow {
  return {
    view: viewOf(ports, node),
    state,
    gpus: viewGpuHealth(node),
    step: sayPhase(node),
    wait: wait === null ? null : { message: sayWait(wait.why), until: isoOrNull(wait.until) },
    price: node.instance?.pricePerHour ?? null,
  };
}

async function node(ports: NodePorts, { param, role }: Asked): Promise<Page> {
  const { reconciler, store } = ports;
  const found = nodeNamed(ports, param("id"), false);
  const wait = reconciler.lastPlan().waits.find((one) => one.node === found.id);
  const nodes = reconciler.fleet().nodes.values();
  const next = [...nodes].find(({ replaces }) => replaces === found.id) ?? null;
  const [events, others, health, attempts, commands] = await Promise.all([
    eventsOf(ports, found),
    next === null ? [] : eventsOf(ports, next),
    store.findings(found.id, LIMIT.healthEventsShownMax),
    attemptsOf(ports, found, role),
    store.commands({ node: found.id, limit: 20 }),
  ]);
  const explain = explainOf(ports, found, events.slice(-EVENTS_SHOWN));
  const successor = next === null ? null : { node: next, events: others };
  return nodePage({
    view: viewOf(ports, found),
    state: nodeStateOf(found, wait),
    explain,
    repair: viewRepair(found, { events, explain, rung: rungOf(ports, found), successor }),
    gpus: viewGpuHealth(found),
    findings: viewNodeFindings(found),
    price: found.instance?.pricePerHour ?? null,
    attempts,
    health: health.map(viewHealthEvent),
    events: events.slice(-EVENTS_SHOWN).reverse().map(viewEvent),
    commands: commands.map(viewCommand),
    orders: ordersOf(found, role),
  });
}

async function eventsOf({ store }: RoutePorts, { id }: Node): Promise<Event[]> {
  return store.events({ node: id, pool: null, since: null, after: null, limit: EVENTS_READ });
}

/** Orders that change something now; the uncordon of an unhealthy node needs force. */
export function ordersOf(node: Node, role: ReaderRole): CommandType[] {
  if (role === "viewer") return [];
  return COMMAND_TYPES.filter((type) => {
    const force = type === "uncordon";
    return judgeCommand(node, { type, force, reason: "given" }).kind === "legal";
  });
}

async function pool(ports: RoutePorts, { url, param, role }: Asked): Promise<Page> {
  const { reconciler, store } = ports;
  const found = poolNamed(ports, param("pool"));
  const query = { node: null, pool: found.name, since: null, after: null, limit: EVENTS_SHOWN };
  const events = await store.events(query);
  const filter = { ...nodeFilterOf(url.searchParams), pool: found.name };
  const list = listFleet(reconciler.fleet().nodes.values(), reconciler.lastPlan(), filter);
  return poolPage({
    url,
    status: statusView(ports, found),
    explain: explainPoolOf(ports, found, events),
    rows: list.rows.map((row) => rowOf(ports, row)),
    total: list.total,
    page: list.page,
    events: events.reverse().map(viewEvent),
    mayAct: role !== "viewer",
  });
}

export const fleetPages: readonly PageRoute<NodePorts>[] = [
  { path: "/fleet", role: "viewer", label: "Fleet", build: (asked, ports) => fleet(ports, asked) },
  { role: "viewer", path: "/fleet/node/:id", build: (asked, ports) => node(ports, asked) },
  { role: "viewer", path: "/fleet/pool/:pool", build: (asked, ports) => pool(ports, asked) },
  {
    role: "viewer",
    path: "/fleet/agentpool/:ns/:name",
    build({ param }, ports) {
      return agentPoolPage(viewAgentPool(agentPoolNamed(ports, param("ns"), param("name"))));
    },
  },
];
