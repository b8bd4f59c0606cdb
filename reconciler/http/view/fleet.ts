/**
 * The fleet as the console lists it: the state of each node in one word, how many are in each, and
 * one page of those that match a filter, the sick ones first. Pure.
 */
import type { Node } from "../../../schema/node.ts";
import type { Plan, Wait } from "../../core/plan.ts";
import type { WaitReason } from "../../../schema/plan.ts";
import { HEALTH_STATUSES, type HealthStatus } from "../../../schema/api.ts";
import { verdictOfNode } from "../../core/fleet.ts";
import { healthStatusOf } from "../../core/status.ts";

/** In the order of the list. `gone` is listed only if it is asked for. */
export const NODE_STATES = [
  /** Waits for a person. */
  "held",
  /** Broken or not in service, and a limit, a veto or a missing proof stops its repair. */
  "waiting",
  "repair",
  /** Serves with a fault that does not take it out of service. */
  "degraded",
  "cordoned",
  "starting",
  "leaving",
  "serving",
  "gone",
] as const;
export type NodeState = (typeof NODE_STATES)[number];

/** Waits that do not end by themselves soon: something else has to change first. */
const STOPS: ReadonlySet<WaitReason> = new Set<WaitReason>([
  "blind",
  "budget",
  "breaker",
  "spend",
  "backoff",
  "bootstrap_guard",
  "second_witness",
  "human",
  "not_ours",
  "provider",
  "other_fleet",
]);

const FAILED: ReadonlySet<string> = new Set(["replace", "repair", "lost", "failed", "lemon"]);

/** `wait` is the node's in the newest plan. */
export function nodeStateOf(node: Node, wait: Wait | undefined): NodeState {
  const { phase, session, cordon, kube } = node;
  const stopped = wait !== undefined && STOPS.has(wait.reason);
  const repair = stopped ? "waiting" : "repair";
  switch (phase.kind) {
    case "gone":
    case "held":
      return phase.kind;
    case "requested":
    case "booting":
    case "bootstrapping":
    case "verifying":
      return stopped ? "waiting" : "starting";
    case "terminating":
      return FAILED.has(phase.purpose) ? "repair" : "leaving";
    case "draining":
      return FAILED.has(phase.purpose) ? repair : "leaving";
    case "suspect":
    case "repairing":
    case "replacing":
      return repair;
    case "serving": {
      const verdict = verdictOfNode(node);
      if (verdict === "unhealthy" || session !== null) return repair;
      const isMarked = kube?.unschedulable === true && kube.absentSince === null;
      if (cordon.product !== null || cordon.human !== null || isMarked) return "cordoned";
      return verdict === "degraded" ? "degraded" : "serving";
    }
  }
}

export type NodeFilter = {
  pool: string | null;
  state: NodeState | null;
  health: HealthStatus | null;
  /** Part of an id, a name, a GPU's UUID, a place or an instance type. */
  text: string;
  /** From 1. */
  page: number;
};

export const NODES_PER_PAGE = 100;

const PREFIX = "HEALTH_STATUS_";
export const HEALTH_WORDS = HEALTH_STATUSES.map((one) => one.slice(PREFIX.length).toLowerCase());

/** The filter of a query; a value that is no choice matches nothing that is wrong to show. */
export function nodeFilterOf(query: URLSearchParams): NodeFilter {
  const state = query.get("state");
  const health = `${PREFIX}${(query.get("health") ?? "").toUpperCase()}`;
  const page = Number(query.get("page") ?? "1");
  return {
    pool: query.get("pool") || null,
    state: NODE_STATES.find((one) => one === state) ?? null,
    health: HEALTH_STATUSES.find((one) => one === health) ?? null,
    text: (query.get("q") ?? "").trim().slice(0, 200),
    page: Number.isInteger(page) && page >= 1 && page <= 1_000_000 ? page : 1,
  };
}

export type FleetCounts = Record<NodeState, number> & {
  /** Every node that is not gone. */
  nodes: number;
  gpus: number;
  /** GPUs of nodes in service. */
  gpusServing: number;
};

export type ListedNode = { node: Node; state: NodeState; wait: Wait | null };

export type NodeList = {
  counts: FleetCounts;
  /** Of all nodes, those that match. */
  total: number;
  page: number;
  rows: ListedNode[];
  /** Nodes that only a person can help, oldest first. */
  urgent: ListedNode[];
};

const URGENT_MAX = 20;
/** Waits that only a person ends. */
const BY_PERSON: ReadonlySet<WaitReason> = new Set<WaitReason>(["human", "not_ours"]);

export function listFleet(nodes: Iterable<Node>, plan: Plan, filter: NodeFilter): NodeList {
  const waits = new Map<string, Wait>();
  for (const wait of plan.waits) if (wait.node !== null) waits.set(wait.node, wait);
  const counts = newCounts();
  const urgent: ListedNode[] = [];
  const found: (ListedNode & { key: string })[] = [];
  const text = filter.text.toLowerCase();
  for (const node of nodes) {
    const wait = waits.get(node.id);
    const state = nodeStateOf(node, wait);
    count(counts, node, state);
    const isStuck = state === "waiting" && wait !== undefined && BY_PERSON.has(wait.reason);
    if (state === "held" || isStuck) urgent.push({ node, state, wait: wait ?? null });
    if (!passes(node, state, filter, text)) continue;
    const key = `${NODE_STATES.indexOf(state)} ${node.pool ?? "~"} ${node.id}`;
    found.push({ node, state, wait: wait ?? null, key });
  }
  found.sort((a, b) => (a.key < b.key ? -1 : 1));
  const last = Math.max(1, Math.ceil(found.length / NODES_PER_PAGE));
  const page = Math.min(filter.page, last);
  const from = (page - 1) * NODES_PER_PAGE;
  const rows = found.slice(from, from + NODES_PER_PAGE);
  urgent.sort((a, b) => a.node.phase.since - b.node.phase.since);
  return { counts, total: found.length, page, rows, urgent: urgent.slice(0, URGENT_MAX) };
}

function newCounts(): FleetCounts {
  const none = Object.fromEntries(NODE_STATES.map((state) => [state, 0]));
  return { ...(none as Record<NodeState, number>), nodes: 0, gpus: 0, gpusServing: 0 };
}

const IN_SERVICE: ReadonlySet<NodeState> = new Set<NodeState>(["serving", "degraded"]);

function count(counts: FleetCounts, { agent }: Node, state: NodeState): void {
  counts[state]++;
  if (state === "gone") return;
  const gpus = agent?.inventory.gpus.length ?? 0;
  counts.nodes++;
  counts.gpus += gpus;
  if (IN_SERVICE.has(state)) counts.gpusServing += gpus;
}

function passes(node: Node, state: NodeState, filter: NodeFilter, text: string): boolean {
  if (filter.state === null ? state === "gone" : state !== filter.state) return false;
  if (filter.pool !== null && filter.pool !== node.pool) return false;
  if (filter.health !== null && filter.health !== healthStatusOf(node)) return false;
  return text === "" || namesOf(node).some((name) => name.toLowerCase().includes(text));
}

function namesOf({ id, agent, instance, kube, slurm, session }: Node): string[] {
  const { hostname, gpus = [] } = agent?.inventory ?? {};
  const place = [instance?.instanceType, instance?.zone, instance?.region, instance?.provider];
  const names = [id, hostname, instance?.id, kube?.name, slurm?.name, session?.id, ...place];
  return [...names, ...gpus.map(({ uuid }) => uuid)].filter((name) => typeof name === "string");
}
