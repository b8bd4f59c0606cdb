/** Formats AgentPools and claims for a terminal. Pure. */
import type {
  AgentPoolSummary,
  AgentPoolView,
  AgentPoolWorkerView,
  ClaimView,
  NodeWorkerView,
} from "../schema/agentpool-view.ts";
import { formatDuration } from "../schema/duration.ts";
import { formatAge, formatSpan, formatTime } from "./age.ts";
import { formatLabels, formatTable, plain, type Style } from "./table.ts";
import { parseInstant } from "../schema/instant.ts";

const numberOrNone = (value: number | null): string => (value === null ? "" : String(value));

export const keyOf = ({ namespace, name }: { namespace: string; name: string }): string =>
  `${namespace}/${name}`;

export function formatAgentPools(
  pools: readonly AgentPoolSummary[],
  wide: boolean,
  style: Style,
): string {
  const more = wide ? ["Min", "Max", "Workers"] : [];
  const head = ["Namespace", "Name", "Size", "Idle", "Queued", ...more, "Reason"];
  const rows = pools.map((pool) => [
    ...[pool.namespace, pool.name, String(pool.size), String(pool.idle), String(pool.queued)],
    ...(wide ? [numberOrNone(pool.min), numberOrNone(pool.max), sayStates(pool)] : []),
    pool.reason ?? "",
  ]);
  return formatTable(head, rows, style);
}

/** `2 Idle, 1 Running`. */
function sayStates({ workers }: Pick<AgentPoolSummary, "workers">): string {
  const counted = Object.entries(workers).filter(([, count]) => count > 0);
  return counted.map(([state, count]) => `${count} ${state}`).join(", ");
}

/** One pool with why it does not grow; `describe` adds settings, conditions and claims. */
export function formatAgentPool(
  pool: AgentPoolView,
  nowMs: number,
  { style, whole }: { style: Style; whole: boolean },
): string {
  const labels: (readonly [string, string])[] = [
    ["AgentPool", keyOf(pool)],
    ["Size", pool.max === null ? String(pool.size) : `${pool.size} (${pool.min} to ${pool.max})`],
    ["Workers", sayStates(pool)],
    ["Idle Slots", String(pool.idle)],
    ["Queued Claims", String(pool.queued)],
    ...(pool.deleting ? [["Deleting", "yes"] as const] : []),
    ...(whole ? settingsOf(pool) : []),
  ];
  const text = `${formatLabels(labels, style)}${formatBlockers(pool)}${formatError(pool, nowMs)}`;
  const workers = formatWorkers(pool.worker_list, nowMs, style);
  if (!whole) return `${text}${workers}`;
  return `${text}${formatConditions(pool, style)}${workers}${formatOpen(pool, nowMs, style)}`;
}

function formatError({ last_allocation_error: error }: AgentPoolView, nowMs: number): string {
  if (error === null) return "";
  const { reason, message, at } = error;
  return `Last Error: ${plain(reason)} ${formatAge(at, nowMs)}: ${plain(message)}\n`;
}

function settingsOf({ autoscaler }: AgentPoolView): [string, string][] {
  if (autoscaler === null) return [["Autoscaler", "none: nothing is created or removed"]];
  const { min_idle: minIdle, max_idle: maxIdle, effective_max_idle: effective } = autoscaler;
  const raised = effective === maxIdle ? "" : `, in effect ${effective}`;
  const kill = autoscaler.kill_unknown_after_ms;
  return [
    ["Idle Wanted", `${minIdle} to ${maxIdle}${raised}`],
    ["Slots Per Worker", String(autoscaler.slots_per_agent)],
    ["Idle Decay", formatDuration(autoscaler.idle_decay_ms)],
    ["Kill Unknown", kill === 0 ? "never" : `after ${formatDuration(kill)}`],
  ];
}

function formatBlockers({ blockers }: AgentPoolView): string {
  if (blockers.length === 0) return "";
  return `Does not grow:\n${blockers.map((text) => `  ${plain(text)}\n`).join("")}`;
}

function formatConditions({ conditions }: AgentPoolView, style: Style): string {
  if (conditions.length === 0) return "";
  const rows = conditions.map((one) => [one.type, one.status, one.reason, one.message]);
  return `\n${formatTable(["Condition", "Status", "Reason", "Message"], rows, style)}`;
}

function formatWorkers(
  workers: readonly AgentPoolWorkerView[],
  nowMs: number,
  style: Style,
): string {
  if (workers.length === 0) return "";
  const rows = workers.map((one) => [
    one.name,
    one.state,
    `${one.claims}/${one.slots}`,
    formatSpan(nowMs - parseInstant(one.created_at)),
    one.leaving === null ? "" : sayLeaving(one.leaving),
  ]);
  return `\n${formatTable(["Worker", "State", "Claims", "Age", "Leaving"], rows, style)}`;
}

const sayLeaving = ({ cause, deleting }: NonNullable<AgentPoolWorkerView["leaving"]>): string =>
  deleting ? cause : `${cause}, asked to stop`;

function formatOpen({ claims }: AgentPoolView, nowMs: number, style: Style): string {
  return claims.length === 0 ? "" : `\n${formatClaims(claims, nowMs, style)}`;
}

export function formatClaims(claims: readonly ClaimView[], nowMs: number, style: Style): string {
  const rows = claims.map((claim) => [
    claim.id,
    keyOf({ namespace: claim.namespace, name: claim.pool }),
    claim.state,
    placeOf(claim),
    formatSpan(nowMs - parseInstant(claim.created_at)),
    claim.label,
  ]);
  return formatTable(["ID", "AgentPool", "State", "Place", "Age", "Label"], rows, style);
}

/** Its slot, or its place in the queue. */
function placeOf({ worker, slot, position }: ClaimView): string {
  if (worker !== null) return `${worker} slot ${slot ?? 0}`;
  return position === null ? "" : `queue ${position}`;
}

export function formatClaim(claim: ClaimView, style: Style): string {
  const { because } = claim;
  return formatLabels(
    [
      ["Claim", claim.id],
      ["AgentPool", keyOf({ namespace: claim.namespace, name: claim.pool })],
      ["State", claim.state],
      ["Place", placeOf(claim)],
      ...(because === null ? [] : [["Because", because] as const]),
      ["Label", claim.label],
      ["By", claim.by],
      ["Created", formatTime(claim.created_at)],
      ["Expires", claim.expires_at === null ? "never" : formatTime(claim.expires_at)],
      ...(claim.ended_at === null ? [] : [["Ended", formatTime(claim.ended_at)] as const]),
    ],
    style,
  );
}

/** Of the node that is a worker's agent. */
export function sayNodeWorker({ pool, worker }: NodeWorkerView): string {
  if (worker === null) return pool;
  const leaves = worker.leaving === null ? "" : `, leaving: ${sayLeaving(worker.leaving)}`;
  return `${pool}: ${worker.state}, ${worker.claims}/${worker.slots} claimed${leaves}`;
}
