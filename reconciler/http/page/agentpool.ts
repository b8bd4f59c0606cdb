/** One AgentPool: size, why it does not grow, its workers and their claims. Pure. */
import { html } from "hono/html";
import type {
  AgentPoolView,
  AgentPoolWorkerView,
  ClaimView,
} from "../../../schema/agentpool-view.ts";
import type { WorkerState } from "../../../schema/agentpool.ts";
import { formatTone, plainText } from "./kit.ts";
import { facts, formatSpan, link, list, nodePath, since, text } from "./node-cell.ts";
import type { Block, Html, Page, Row, Tone } from "./page.ts";

export function agentPoolPage(view: AgentPoolView): Page {
  const { namespace, name } = view;
  const title = `AgentPool ${namespace}/${name}`;
  const blocks = [sizeBlock(view), workersBlock(view), claimsBlock(view), conditionsBlock(view)];
  return { title, nav: "/fleet", blocks };
}

function sizeBlock(view: AgentPoolView): Block {
  const { autoscaler: scaler, blockers, last_allocation_error: error } = view;
  const failed =
    error === null
      ? ""
      : html`<p>Last allocation error: ${plainText(`${error.reason}: ${error.message}`)}
<span class="soft">${since(error.at)}</span></p>`;
  const end = view.deleting ? html`<p>${formatTone("warn", "is being deleted")}</p>` : "";
  const why =
    blockers.length === 0
      ? html`<p>Nothing keeps it from growing.</p>`
      : html`<p>${formatTone("warn", "does not grow")}</p>${list(blockers)}`;
  const bounds = scaler === null ? "not scaled" : `${scaler.min_replicas}–${scaler.max_replicas}`;
  const idle = scaler === null ? "" : ` (wanted ${scaler.min_idle}–${scaler.effective_max_idle})`;
  const body = html`${end}${why}${failed}${facts([
    ["workers", html`${view.size}`],
    ["bounds", text(bounds)],
    ["idle slots", html`${view.idle}${idle}`],
    ["queued claims", html`${view.queued}`],
    ["slots a worker", text(scaler?.slots_per_agent)],
    ["unknown workers end after", text(scaler && formatSpan(scaler.kill_unknown_after_ms))],
  ])}`;
  return { id: "size", heading: "Size", kind: "text", body };
}

const WORKER_TONE: Record<WorkerState, Tone> = {
  Pending: "busy",
  Idle: "ok",
  Running: "ok",
  Unknown: "warn",
  Lost: "bad",
  NotifyDeleting: "off",
  Deleting: "off",
  Disconnected: "warn",
  NeedsRestart: "warn",
};

function workersBlock({ worker_list: workers }: AgentPoolView): Block {
  return {
    id: "workers",
    heading: "Workers",
    kind: "table",
    above: null,
    columns: [
      { name: "Worker" },
      { name: "State" },
      { name: "Claims", align: "right" },
      { name: "Agent" },
      { name: "Created" },
      { name: "Leaving" },
    ],
    rows: workers.map(workerRow),
    empty: "The pool has no workers.",
    below: null,
  };
}

function workerRow(one: AgentPoolWorkerView): Row {
  const { name, state, node_id: node, claims, slots, leaving, lost_since: lost } = one;
  const tone = WORKER_TONE[state];
  const gone = lost === null ? "" : html`<br><span class="soft">lost ${since(lost)}</span>`;
  return {
    id: `worker-${name}`,
    ...(tone === "bad" || tone === "warn" ? { tone } : {}),
    cells: [
      html`${plainText(name)}`,
      html`${formatTone(tone, state)}${gone}`,
      html`${claims} of ${slots}`,
      node === null ? text("has not joined") : link(nodePath(node), node),
      since(one.created_at),
      leaving === null ? text(null) : html`${leaving.cause} ${since(leaving.since)}`,
    ],
  };
}

function claimsBlock({ claims }: AgentPoolView): Block {
  return {
    id: "claims",
    heading: "Open claims",
    kind: "table",
    above: null,
    columns: [
      { name: "Claim" },
      { name: "State" },
      { name: "Worker" },
      { name: "By" },
      { name: "Since" },
      { name: "Expires" },
    ],
    rows: claims.map((one) => ({
      id: `claim-${one.id}`,
      cells: [
        html`${plainText(one.id)} <span class="soft">${plainText(one.label)}</span>`,
        claimState(one),
        text(one.worker),
        text(one.by),
        since(one.created_at),
        since(one.expires_at),
      ],
    })),
    empty: "No claims are open.",
    below: null,
  };
}

function claimState({ state, position, because }: ClaimView): Html {
  const place = position === null ? "" : `, place ${position}`;
  const why = because === null ? "" : html`<br>${plainText(because)}`;
  return html`${formatTone(state === "queued" ? "busy" : "ok", `${state}${place}`)}${why}`;
}

function conditionsBlock({ conditions }: AgentPoolView): Block {
  return {
    id: "conditions",
    heading: "Conditions",
    kind: "table",
    above: null,
    columns: [{ name: "Condition" }, { name: "Status" }, { name: "Reason" }, { name: "Message" }],
    rows: conditions.map(({ type, status, reason, message }) => ({
      id: `condition-${type}`,
      cells: [html`${type}`, html`${status}`, text(reason), text(message)],
    })),
    empty: "No conditions are known.",
    below: null,
  };
}
