/** One node: verdict and cause, repair, GPUs, schedulers, cost, set-up, findings, orders. Pure. */
import { html } from "hono/html";
import type { CommandType } from "../../../schema/command.ts";
import type { BootstrapAttemptView } from "../../../schema/api-bootstrap.ts";
import type {
  CommandView,
  EventView,
  ExplainView,
  HealthEventView,
  NodeView,
} from "../../../schema/api.ts";
import type { NodeState } from "../view/fleet.ts";
import type { GpuFindingView, GpuHealthView } from "../view/gpu.ts";
import type { RepairView } from "../view/repair.ts";
import { formatTone, plainText, visibleText } from "./kit.ts";
import {
  agentPoolPath,
  facts,
  formatSpan,
  link,
  list,
  nodeLink,
  nodePath,
  NOTHING,
  perHour,
  poolLink,
  since,
  stateCell,
  text,
  verdictCell,
  verdictTone,
} from "./node-cell.ts";
import type { Block, Html, Page } from "./page.ts";
import { schedulerBlock } from "./scheduler.ts";
import { timelineBlock } from "./timeline.ts";
import { parseInstant } from "../../../schema/instant.ts";

export type NodeValues = {
  view: NodeView;
  state: NodeState;
  explain: ExplainView;
  repair: RepairView | null;
  gpus: GpuHealthView[];
  /** Findings of no single GPU. */
  findings: GpuFindingView[];
  price: number | null;
  attempts: BootstrapAttemptView[];
  health: HealthEventView[];
  /** Newest first. */
  events: EventView[];
  commands: CommandView[];
  /** Orders that would be accepted now; empty for readers who may give none. */
  orders: readonly CommandType[];
};

export function nodePage(values: NodeValues): Page {
  const { view } = values;
  return {
    title: view.node_id,
    nav: "/fleet",
    blocks: [
      verdictBlock(values),
      timelineBlock(values.repair),
      gpusBlock(values),
      schedulerBlock(view),
      ...(values.attempts.length === 0 ? [] : [setupBlock(values.attempts)]),
      healthBlock(values.health),
      eventsBlock(values.events, link(eventsPath(view.node_id), "All events of this node")),
      commandsBlock(values.commands),
    ],
  };
}

const ORDER_WORDS: Record<CommandType, string> = {
  cordon: "Cordon",
  uncordon: "Uncordon",
  drain: "Drain",
  replace: "Replace",
  terminate: "Terminate",
};

/** `Uncordon` of a draining node is a person's undo, so it says so. */
export function orderWords(type: CommandType, view: Pick<NodeView, "phase">): string {
  return type === "uncordon" && view.phase === "draining" ? "Cancel drain" : ORDER_WORDS[type];
}

function actions({ orders, view }: NodeValues): Html {
  if (orders.length === 0) return html``;
  const links = orders.map((type) => {
    const words = orderWords(type, view);
    const label = `${words} ${view.node_id}`;
    return html`<a class="button" href="${nodePath(view.node_id, type)}" aria-label="${label}"
      >${words}</a>`;
  });
  return html`<p class="actions">${links}</p>`;
}

function verdictBlock(values: NodeValues): Block {
  const { view, state, explain, price } = values;
  const body = html`<p>${stateCell(state)} ${verdictCell(view.verdict)}</p>
${list(view.reasons, html``)}
<p>${plainText(explain.state)}.</p>
${nextLine(values)}
${facts([
  ["pool", poolLink(view.pool)],
  ["in this phase", html`${view.phase} ${since(view.phase_since)}`],
  ["last heartbeat", since(view.last_heartbeat)],
  ["cost", perHour(price)],
  ["instance", instanceCell(view)],
  ["place", text(placeOf(view))],
  ["agent", html`${text(view.agent_version)}${view.fake ? html` (simulated GPUs)` : ""}`],
  ["created", since(view.created_at)],
  ...(view.replaces === null ? [] : [["replaces", nodeLink(view.replaces)] as const]),
  ...workerFact(view),
])}
${actions(values)}`;
  return { id: "verdict", heading: "State and cause", kind: "text", body };
}

/** While something is being done, the timeline tells it. */
function nextLine({ explain: { next, earliest }, repair }: NodeValues): Html {
  if (next === null || repair?.closed_at === null) return html``;
  const when = earliest === null ? "" : html`; next decision ${since(earliest)}`;
  return html`<p>Next: ${plainText(next)}${when}.</p>`;
}

function instanceCell({ instance, instance_type: type }: NodeView): Html {
  if (instance === null) return text("not bought by this fleet");
  return html`<code>${plainText(instance.id)}</code> ${text(type)}`;
}

function placeOf({ provider, region, zone }: NodeView): string {
  return [provider, region, zone].filter((one) => one !== null && one !== "").join(" / ");
}

function workerFact({ worker }: NodeView): (readonly [string, Html])[] {
  if (worker === null || worker === undefined) return [];
  const [namespace = "", name = ""] = worker.pool.split("/");
  return [["AgentPool", link(agentPoolPath(namespace, name), worker.pool)]];
}

function gpusBlock({ view, gpus, findings }: NodeValues): Block {
  const known = new Map(view.gpus.map((gpu) => [gpu.uuid, gpu]));
  const own = findings.length === 0 ? null : html`<p>Of the whole node:</p>${findingsOf(findings)}`;
  return {
    id: "gpus",
    heading: "GPUs",
    kind: "table",
    above: own,
    columns: [
      { name: "GPU" },
      { name: "Verdict" },
      { name: "Findings" },
      { name: "UUID" },
      { name: "PCI address" },
      { name: "Driver" },
    ],
    rows: gpus.map((gpu) => {
      const { index, uuid, name, verdict, missing } = gpu;
      const tone = verdictTone(verdict);
      return {
        id: `gpu-${uuid}`,
        ...(tone === "ok" || tone === "off" ? {} : { tone }),
        cells: [
          html`${text(index)} <span class="soft">${plainText(name ?? "")}</span>`,
          html`${verdictCell(verdict)}${missing ? html`<br>not listed any more` : ""}`,
          findingsOf(gpu.findings),
          html`<code>${plainText(uuid)}</code>`,
          html`<code>${plainText(gpu.pci_bus_id ?? "–")}</code>`,
          text(known.get(uuid)?.driver_version),
        ],
      };
    }),
    empty: "No agent has reported GPUs.",
    below: null,
  };
}

function findingsOf(findings: readonly GpuFindingView[]): Html {
  if (findings.length === 0) return NOTHING;
  const each = findings.map(
    ({ because, at }) =>
      html`<li>${plainText(because)} <span class="soft">${since(at)}</span></li>`,
  );
  return html`<ul class="lines">${each}</ul>`;
}

const ATTEMPTS_SHOWN = 5;
const ATTEMPT_TONE = new Map([
  ["done", "ok"],
  ["running", "busy"],
  ["failed", "bad"],
] as const);

function setupBlock(attempts: readonly BootstrapAttemptView[]): Block {
  const toneOf: ReadonlyMap<string, "ok" | "busy" | "bad"> = ATTEMPT_TONE;
  return {
    id: "setup",
    heading: "Set-up over SSH",
    kind: "table",
    above: null,
    columns: [
      { name: "Attempt" },
      { name: "State" },
      { name: "Started" },
      { name: "Steps" },
      { name: "Error" },
    ],
    rows: attempts.slice(0, ATTEMPTS_SHOWN).map((one) => ({
      id: `setup-${one.attempt}`,
      ...(one.state === "failed" ? { tone: "bad" as const } : {}),
      cells: [
        html`${one.attempt} <span class="soft">${plainText(one.address)}</span>`,
        formatTone(toneOf.get(one.state) ?? "off", one.state),
        since(one.started_at),
        setupSteps(one),
        text(one.error),
      ],
    })),
    empty: "No set-up was tried.",
    below: null,
  };
}

const OUTPUT_CHARS_MAX = 4_000;

/** Output is shown for the step that failed: it tells why. */
function setupSteps({ steps }: BootstrapAttemptView): Html {
  const lines = steps.map((step) => {
    const { name, duration_ms: ms, exit_code: code, skipped, error } = step;
    const took = skipped ? "done before" : ms === null ? "running" : formatSpan(ms);
    const failed = error !== null || (code !== null && code !== 0);
    const output = `${step.stdout}${step.stderr}`.slice(-OUTPUT_CHARS_MAX);
    const why = failed && output !== "" ? html`<pre>${visibleText(output)}</pre>` : "";
    return html`<li>${plainText(name)} <span class="soft">${took}</span>${why}</li>`;
  });
  return html`<details><summary>${steps.length} steps</summary><ol>${lines}</ol></details>`;
}

const HEALTH_SHOWN = 50;

function healthBlock(health: readonly HealthEventView[]): Block {
  const seen = new Map<string, number>();
  return {
    id: "health",
    heading: "Health events",
    kind: "table",
    above: null,
    columns: [{ name: "Time" }, { name: "Finding" }, { name: "GPU" }, { name: "Message" }],
    rows: health.slice(0, HEALTH_SHOWN).map((one) => {
      const { timestamp, kind, code, gpu_index: index, gpu_uuid: uuid } = one;
      // Several findings have the same time; the newest of them comes first.
      const same = (seen.get(timestamp) ?? 0) + 1;
      seen.set(timestamp, same);
      return {
        id: `health-${parseInstant(timestamp)}-${same}`,
        cells: [
          since(timestamp),
          html`${kind}${code === null ? "" : ` ${code}`} <span class="soft">${one.severity}</span>`,
          text(index ?? uuid),
          text(one.message),
        ],
      };
    }),
    empty: "The agent has reported no findings.",
    below: null,
  };
}

const EVENT_COLUMNS = [{ name: "Time" }, { name: "Event" }, { name: "What happened" }] as const;

function eventCells({ at, kind, actor, message }: EventView): Html[] {
  const by = actor === "navarch" ? "" : html` <span class="soft">by ${plainText(actor)}</span>`;
  return [since(at), html`${kind}${by}`, text(message)];
}

const eventsPath = (node: string): string => `/events?${new URLSearchParams({ node })}`;

/** `below` leads to the events that are not shown. */
export function eventsBlock(events: readonly EventView[], below: Html | null): Block {
  return {
    id: "events",
    heading: "Recent events",
    kind: "table",
    above: null,
    columns: EVENT_COLUMNS,
    rows: events.map((one) => ({ id: `event-${one.id}`, cells: eventCells(one) })),
    empty: "No events are recorded.",
    below,
  };
}

function commandsBlock(commands: readonly CommandView[]): Block {
  return {
    id: "orders",
    heading: "Orders by people",
    kind: "table",
    above: null,
    columns: [
      { name: "Time" },
      { name: "Order" },
      { name: "By" },
      { name: "Reason" },
      { name: "Result" },
    ],
    rows: commands.map((one) => ({
      id: `order-${one.command_id}`,
      cells: [
        since(one.issued_at),
        html`${one.type}`,
        text(one.issued_by),
        text(one.reason),
        html`${one.status}${one.message === null ? "" : html`: ${plainText(one.message)}`}`,
      ],
    })),
    empty: "No orders were given for this node.",
    below: null,
  };
}
