/**
 * The pages of HorizontalPodAutoscalers: all of them, and the last two hours of one service. Pure.
 */
import { html } from "hono/html";
import type {
  DepthSample,
  HpaEvent,
  HpaSample,
  HpaTrigger,
  ServiceTimeline,
} from "../../../schema/console/hpa.ts";
import { TASK_PRIORITIES } from "../../../schema/console/queue.ts";
import type { Asked } from "../../core/console/cluster.ts";
import type { Hpa } from "../../core/console/hpa.ts";
import { hrefOf, idOf, NOTHING, pathOf, say, sayAge, sayCount, sayLink, sayTime } from "./cell.ts";
import { CHART_SCRIPT, type Line, linesChart } from "./plot.ts";
import { formatPager, formatTone } from "./kit.ts";
import { whyEmpty } from "./deployment.ts";
import type { Block, Html, Page, Row, Tone } from "./page.ts";
import { parseInstant } from "../../../schema/instant.ts";

export const HPAS_SHOWN = 100;
/** Rows of figures and events; the API has all of them. */
const ROWS = 60;
/** More lines than this are no chart. */
const LINES = 8;

/** One of the list, with its latest event. */
export type HpaRow = { hpa: Hpa; event: HpaEvent | null };

export type AutoscalingPageFrom = {
  url: URL;
  page: number;
  hpas: Asked<{ shown: readonly HpaRow[]; total: number }>;
};

export function autoscalingPage({ url, page, hpas }: AutoscalingPageFrom): Page {
  const { shown, total } = hpas.kind === "ok" ? hpas.value : { shown: [], total: 0 };
  return {
    title: "Autoscaling",
    nav: "/autoscaling",
    blocks: [
      {
        id: "services",
        heading: "HorizontalPodAutoscalers",
        kind: "table",
        above: null,
        columns: [
          { name: "Service" },
          { name: "Autoscaler" },
          { name: "Replicas" },
          { name: "Bounds", align: "right" },
          { name: "Metrics" },
          { name: "Limited by" },
          { name: "Last event" },
        ],
        rows: shown.map(serviceRow),
        empty: whyEmpty(hpas, "The cluster has no HorizontalPodAutoscaler."),
        below: formatPager(url, page, HPAS_SHOWN, total),
      },
    ],
  };
}

export const servicePath = (namespace: string, service: string): string =>
  pathOf(["autoscaling", namespace, service]);

function serviceRow({ hpa, event }: HpaRow): Row {
  const { namespace, name, uid, target, current, desired, min, max, limit, metrics } = hpa;
  const tone: Tone =
    desired === null ? "off" : limit !== null ? "warn" : current === desired ? "ok" : "busy";
  return {
    id: idOf("hpa", uid),
    tone,
    cells: [
      sayLink(servicePath(namespace, target), `${namespace}/${target}`),
      say(name),
      formatTone(tone, formatReplicas(current, desired)),
      html`${min} to ${max}`,
      sayMetrics(metrics),
      limit === null ? NOTHING : say(`${limit.reason}: ${limit.message}`),
      event === null ? NOTHING : html`${say(formatChange(event))} ${sayAge(event.timestamp)}`,
    ],
  };
}

function formatReplicas(current: number | null, desired: number | null): string {
  if (current === null || desired === null) return "not decided";
  return current === desired ? String(current) : `${current} → ${desired} wanted`;
}

const round = (value: number): string => String(Number(value.toPrecision(4)));

function formatMetric({ metric, measure, value, threshold }: HpaTrigger): string {
  const unit = measure === "utilization" ? " %" : "";
  return `${metric} ${round(value)}${unit} of ${round(threshold)}${unit}`;
}

function sayMetrics(metrics: readonly HpaTrigger[]): Html {
  if (metrics.length === 0) return html`no values`;
  const [first, ...rest] = metrics.map((one) => say(formatMetric(one)));
  return html`${first}${rest.map((one) => html`<br>${one}`)}`;
}

function formatChange({ kind, fromReplicas, toReplicas, limitingFactor }: HpaEvent): string {
  if (kind === "limited-scale") return `limited at ${toReplicas} by ${limitingFactor ?? "other"}`;
  return `${kind} ${fromReplicas} → ${toReplicas}`;
}

export type ServicePageFrom = {
  namespace: string;
  service: string;
  timeline: ServiceTimeline;
};

export function servicePage(from: ServicePageFrom): Page {
  const { namespace, service, timeline } = from;
  const { autoscalers, events, queue, until } = timeline;
  return {
    title: `${namespace}/${service}`,
    nav: "/autoscaling",
    blocks: [
      summaryBlock(timeline),
      ...autoscalers.flatMap((one, at) => {
        return [replicasBlock(one, at, until), ratiosBlock(one, at, until)];
      }),
      depthBlock(queue, until),
      eventsBlock(events),
      ...autoscalers.map(figuresBlock),
      depthsBlock(queue),
    ],
  };
}

const ALL_SERVICES = html`<a href="${hrefOf("/autoscaling")}">All services</a>`;

function summaryBlock({ autoscalers }: ServiceTimeline): Block {
  const cards: [string, Html][] = autoscalers.flatMap(({ hpa, samples }) => {
    const last = samples.at(-1);
    if (last === undefined) return [];
    const { currentReplicas, desiredReplicas, minReplicas, maxReplicas, metrics } = last;
    return [
      ["Autoscaler", say(hpa)],
      ["Replicas", say(formatReplicas(currentReplicas, desiredReplicas))],
      ["Bounds", html`${minReplicas} to ${maxReplicas}`],
      ["Metrics", sayMetrics(metrics)],
    ] satisfies [string, Html][];
  });
  const body = html`<dl class="facts">
    ${cards.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl><p>${ALL_SERVICES}</p>${CHART_SCRIPT}`;
  return { id: "service", heading: "Now", kind: "text", body };
}

type Autoscaler = ServiceTimeline["autoscalers"][number];

function replicasBlock({ hpa, samples }: Autoscaler, at: number, until: string): Block {
  const line = (name: string, of: (sample: HpaSample) => number | null): Line => ({
    name,
    values: samples.map(of),
  });
  const lines = [
    line("current", (one) => one.currentReplicas),
    line("wanted", (one) => one.desiredReplicas),
    line("at least", (one) => one.minReplicas),
    line("at most", (one) => one.maxReplicas),
  ];
  return {
    id: `replicas-${at}`,
    heading: `Replicas by ${hpa}`,
    kind: "text",
    body: linesChart({ about: "Replicas", unit: "", times: timesOf(samples), until, lines }),
  };
}

function ratiosBlock({ hpa, samples }: Autoscaler, at: number, until: string): Block {
  const keyOf = ({ type, metric }: HpaTrigger): string => `${metric} (${type})`;
  const names = [...new Set(samples.flatMap(({ metrics }) => metrics.map(keyOf)))];
  const lines = names.slice(0, LINES).map((name) => ({
    name,
    values: samples.map(({ metrics }) => {
      const found = metrics.find((one) => keyOf(one) === name);
      return found === undefined ? null : Math.round((100 * found.value) / found.threshold);
    }),
  }));
  const about = "Metrics in percent of their target";
  return {
    id: `metrics-${at}`,
    heading: `Metrics of ${hpa}, in % of their target`,
    kind: "text",
    body: linesChart({ about, unit: "%", times: timesOf(samples), until, lines }),
  };
}

function depthBlock(queue: readonly DepthSample[], until: string): Block {
  const lines = TASK_PRIORITIES.map((name) => ({
    name,
    values: queue.map(({ depth }) => depth[name]),
  }));
  const about = "Waiting tasks by priority";
  return {
    id: "depth",
    heading: "Waiting tasks of the queue, by priority",
    kind: "text",
    body: linesChart({ about, unit: "", times: timesOf(queue), until, lines }),
  };
}

const timesOf = (samples: readonly { timestamp: string }[]): number[] =>
  samples.map(({ timestamp }) => parseInstant(timestamp) / 1_000);

function eventsBlock(events: readonly HpaEvent[]): Block {
  return {
    id: "events",
    heading: "Events, newest first",
    kind: "table",
    above: null,
    columns: [
      { name: "Time" },
      { name: "What happened" },
      { name: "Because of" },
      { name: "Limited by" },
    ],
    rows: events.slice(0, ROWS).map((event): Row => {
      const { timestamp, kind, trigger, limitingFactor, message } = event;
      return {
        id: idOf("event", timestamp, event.hpa, kind),
        tone: kind === "limited-scale" ? "warn" : "ok",
        cells: [
          sayTime(timestamp),
          say(formatChange(event)),
          trigger === null ? NOTHING : say(formatMetric(trigger)),
          limitingFactor === null ? NOTHING : say(`${limitingFactor}: ${message ?? ""}`),
        ],
      };
    }),
    empty: "Nothing was scaled since this process leads.",
    below: null,
  };
}

function figuresBlock({ hpa, samples }: Autoscaler, at: number): Block {
  return {
    id: `figures-${at}`,
    heading: `${hpa} as figures, newest first (UTC)`,
    kind: "table",
    above: null,
    columns: [
      { name: "Since" },
      { name: "Current", align: "right" },
      { name: "Wanted", align: "right" },
      { name: "Bounds", align: "right" },
      { name: "Metrics" },
    ],
    rows: samples
      .slice(-ROWS)
      .reverse()
      .map((one) => ({
        id: idOf(`figures-${at}`, one.timestamp),
        cells: [
          sayTime(one.timestamp),
          sayCount(one.currentReplicas),
          sayCount(one.desiredReplicas),
          html`${one.minReplicas} to ${one.maxReplicas}`,
          sayMetrics(one.metrics),
        ],
      })),
    empty: "The cluster was not looked at yet.",
    below: null,
  };
}

function depthsBlock(queue: readonly DepthSample[]): Block {
  return {
    id: "depths",
    heading: "Waiting tasks as figures, newest first (UTC)",
    kind: "table",
    above: null,
    columns: [
      { name: "Since" },
      ...TASK_PRIORITIES.map((name) => ({ name, align: "right" as const })),
    ],
    rows: queue
      .slice(-ROWS)
      .reverse()
      .map(({ timestamp, depth }) => ({
        id: idOf("depths", timestamp),
        cells: [sayTime(timestamp), ...TASK_PRIORITIES.map((name) => sayCount(depth[name]))],
      })),
    empty: "This process keeps no queue.",
    below: null,
  };
}
