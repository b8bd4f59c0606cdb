/** Pipelines, Flux objects and events of the cluster as tables. Pure. */
import { html } from "hono/html";
import type { ClusterEvent, FluxList, FluxObject } from "../../../schema/console/cluster.ts";
import { EVENT_CATEGORIES } from "../../../schema/console/cluster.ts";
import type { Pipeline, PipelineStatus } from "../../../schema/console/pipeline.ts";
import type { Asked } from "../../core/console/cluster.ts";
import { formatTone } from "./kit.ts";
import { idOf, pathOf, say, sayAction, sayAge, sayCount, sayFilters } from "./cell.ts";
import { saySuggestions, sayTime } from "./cell.ts";
import type { DeploymentFilters } from "./deployment.ts";
import type { Block, Html, Tone } from "./page.ts";

const PIPELINE: Record<PipelineStatus, Tone> = {
  success: "ok",
  running: "busy",
  pending: "busy",
  failed: "bad",
  skipped: "off",
};
const COMMIT_CHARS = 12;

export function pipelinesBlock(pipelines: readonly Pipeline[]): Block {
  return {
    id: "pipelines",
    heading: "CI/CD Pipelines",
    kind: "table",
    above: null,
    columns: [
      { name: "Pipeline" },
      { name: "Status" },
      { name: "Branch" },
      { name: "Commit" },
      { name: "Author" },
      { name: "Started" },
      { name: "Ended" },
      { name: "Stages" },
      { name: "Suggestions" },
    ],
    rows: pipelines.map((one) => ({
      id: idOf("pipeline", one.id),
      tone: PIPELINE[one.status],
      cells: [
        html`${say(one.name)}<br><span class="small">${say(one.id)}</span>`,
        formatTone(PIPELINE[one.status], one.status),
        say(one.branch),
        html`<code>${say(one.commit.slice(0, COMMIT_CHARS))}</code> ${say(
          one.commitMessage.split("\n")[0],
        )}`,
        say(one.author),
        sayAge(one.startTime),
        sayAge(one.endTime),
        sayStages(one.stages),
        saySuggestions(one.suggestions),
      ],
    })),
    empty: "No pipeline was reported. A build server reports to POST /api/pipelines.",
    below: null,
  };
}

function sayStages(stages: Pipeline["stages"]): Html {
  if (stages.length === 0) return say(null);
  return html`<ul class="steps">${stages.map(({ name, status, duration, error }) => {
    return html`<li>${formatTone(PIPELINE[status], status)} ${say(name)}, ${duration} s${
      error === null ? "" : html`<pre>${say(error)}</pre>`
    }</li>`;
  })}</ul>`;
}

const FLUX: Record<FluxObject["status"], Tone> = {
  Reconciled: "ok",
  Reconciling: "busy",
  Failed: "bad",
  Suspended: "off",
};

export function fluxBlock(asked: Asked<FluxList>): Block {
  const { objects, absent } = asked.kind === "ok" ? asked.value : { objects: [], absent: [] };
  const missing = absent.length === 0 ? null : `This cluster does not serve ${absent.join(", ")}.`;
  const empty = missing === null ? "No Flux objects." : `${missing} Flux is not installed here.`;
  return {
    id: "flux",
    heading: "Flux deployments",
    kind: "table",
    above: objects.length > 0 && missing !== null ? html`<p>${missing}</p>` : null,
    columns: [
      { name: "Name" },
      { name: "Namespace" },
      { name: "Type" },
      { name: "Status" },
      { name: "Source" },
      { name: "Revision" },
      { name: "Last updated" },
      { name: "Error" },
      { name: "Suggestions" },
      { name: "Actions" },
    ],
    rows: objects.map((one) => ({
      id: idOf("flux", one.type, one.namespace, one.name),
      tone: FLUX[one.status],
      cells: [
        say(one.name),
        say(one.namespace),
        say(one.type),
        formatTone(FLUX[one.status], one.status),
        say(one.source),
        say(one.revision),
        sayAge(one.lastUpdated),
        say(one.error),
        saySuggestions(one.suggestions),
        fluxActions(one),
      ],
    })),
    empty: asked.kind === "ok" ? empty : `Cannot be read: ${asked.message}`,
    below: null,
  };
}

function fluxActions({ type, namespace, name, status }: FluxObject): Html {
  const about = `${type} ${namespace}/${name}`;
  const to = (verb: string): string => pathOf(["deployment", "flux", type, namespace, name, verb]);
  if (status === "Suspended") return sayAction(to("resume"), "Resume", about);
  return html`<span class="actions">${sayAction(to("reconcile"), "Reconcile", about)}${sayAction(
    to("suspend"),
    "Suspend",
    about,
  )}</span>`;
}

const CATEGORY: Record<ClusterEvent["category"], Tone> = {
  normal: "ok",
  warning: "warn",
  error: "bad",
};
/** Rows; the filter finds the others. */
export const EVENTS_SHOWN = 50;

export function eventsBlock(from: {
  filters: DeploymentFilters;
  namespaces: readonly string[];
  events: Asked<ClusterEvent[]>;
}): Block {
  const { filters, namespaces, events } = from;
  const { namespace, type, kind, name, q } = filters;
  const all = events.kind === "ok" ? events.value : [];
  const more = all.length - EVENTS_SHOWN;
  const none = "No events match.";
  return {
    ...eventTable(all.slice(0, EVENTS_SHOWN)),
    above: sayFilters("/deployment", "Filter events", [
      { name: "namespace", label: "Namespace", value: namespace, choices: namespaces },
      { name: "type", label: "Type", value: type, choices: EVENT_CATEGORIES },
      { name: "kind", label: "Kind", value: kind, placeholder: "Pod" },
      { name: "name", label: "Name", value: name },
      { name: "q", label: "Text", value: q, placeholder: "FailedScheduling" },
    ]),
    empty: events.kind === "ok" ? none : `Cannot be read: ${events.message}`,
    below: more <= 0 ? null : html`<p>${more} older events match too; narrow the filter.</p>`,
  };
}

/** Without filters, for events of one object. */
export function eventTable(events: readonly ClusterEvent[]): Extract<Block, { kind: "table" }> {
  return {
    id: "events",
    heading: "Events",
    kind: "table",
    above: null,
    columns: [
      { name: "Last seen" },
      { name: "Type" },
      { name: "Reason" },
      { name: "Object" },
      { name: "Message" },
      { name: "Count", align: "right" },
      { name: "Source" },
    ],
    rows: events.map((one) => {
      const { kind, name, namespace } = one.involvedObject;
      const place = namespace === "" ? name : `${namespace}/${name}`;
      const { component, host } = one.source;
      return {
        id: idOf("event", one.namespace, one.name),
        tone: CATEGORY[one.category],
        cells: [
          sayTime(one.lastTimestamp ?? one.firstTimestamp),
          formatTone(CATEGORY[one.category], one.category),
          say(one.reason),
          say(`${kind} ${place}`),
          say(one.message),
          sayCount(one.count),
          say(host === undefined ? component : `${component}, ${host}`),
        ],
      };
    }),
    empty: "No events.",
    below: null,
  };
}
