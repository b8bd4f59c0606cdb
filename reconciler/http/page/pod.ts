/** The pages of one pod: overview, logs and events as links, whole without a script. Pure. */
import { html } from "hono/html";
import type { ClusterEvent, Pod, PodLog } from "../../../schema/console/cluster.ts";
import type { Asked } from "../../core/console/cluster.ts";
import { formatTone, plainText, visibleText } from "./kit.ts";
import { idOf, say, sayAge, sayCount, saySuggestions } from "./cell.ts";
import { podActions, podPath, podTone } from "./deployment.ts";
import { EVENTS_SHOWN, eventTable } from "./deployment-list.ts";
import type { Block, Html, Page } from "./page.ts";

export const TAILS = ["100", "200", "1000", "5000"] as const;
export const TAIL_DEFAULT = "200";

const TABS = [
  { key: "", label: "Overview" },
  { key: "logs", label: "Logs" },
  { key: "events", label: "Events" },
] as const;
type Tab = (typeof TABS)[number]["key"];

function podFrame(pod: Pod, current: Tab, blocks: readonly Block[]): Page {
  const { namespace, name } = pod;
  const links = TABS.map(({ key, label }) => {
    const mark = key === current ? html` aria-current="page"` : "";
    const more = key === "" ? [] : [key];
    return html`<a class="button" href="${podPath(namespace, name, ...more)}"${mark}>${label}</a> `;
  });
  const body = html`<p><a href="/deployment">Deployment</a> / ${say(namespace)} / ${say(name)}:
      ${formatTone(podTone(pod), pod.status)}</p>
    <nav aria-label="Pod" class="actions">${links}</nav>
    <p class="actions">${podActions(pod)}</p>`;
  const head: Block = { id: "pod", heading: `${namespace}/${name}`, kind: "text", body };
  return { title: `Pod ${namespace}/${name}`, nav: "/deployment", blocks: [head, ...blocks] };
}

export function podPage(pod: Pod): Page {
  return podFrame(pod, "", [factsBlock(pod), containersBlock(pod), conditionsBlock(pod)]);
}

const NO_OWNER = "none: nothing replaces it";

function factsBlock(pod: Pod): Block {
  const { owner, resources, labels } = pod;
  const facts: [string, Html][] = [
    ["Status", formatTone(podTone(pod), pod.status)],
    ["Phase", say(pod.phase)],
    ["Node", say(pod.nodeName)],
    ["Address", say(pod.ip)],
    ["Created", sayAge(pod.creationTimestamp)],
    ["Runs since", sayAge(pod.startTime)],
    ["Controller", say(owner === null ? NO_OWNER : `${owner.kind} ${owner.name}`)],
    ["Requests", sayQuantities(resources.requests)],
    ["Limits", sayQuantities(resources.limits)],
    [
      "Labels",
      say(
        Object.entries(labels)
          .map(([key, value]) => `${key}=${value}`)
          .join(", "),
      ),
    ],
    ["Suggestions", saySuggestions(pod.suggestions)],
  ];
  const body = html`<dl class="facts">
    ${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
  return { id: "facts", heading: "Status and use", kind: "text", body };
}

const GIB = 2 ** 30;

function sayQuantities(all: Readonly<Record<string, number>>): Html {
  const parts = Object.entries(all).map(([name, value]) => {
    const isBytes = name === "memory" || name.endsWith("storage");
    return `${name} ${isBytes ? `${Math.round((value / GIB) * 100) / 100} GiB` : value}`;
  });
  return say(parts.length === 0 ? "none" : parts.join(", "));
}

function containersBlock({ containers, initContainers }: Pod): Block {
  const all = [
    ...initContainers.map((one) => ({ one, word: "init container" })),
    ...containers.map((one) => ({ one, word: "container" })),
  ];
  return {
    id: "containers",
    heading: "Containers",
    kind: "table",
    above: null,
    columns: [
      { name: "Container" },
      { name: "Kind" },
      { name: "Image" },
      { name: "Ready" },
      { name: "Restarts", align: "right" },
      { name: "State" },
      { name: "Before its last restart" },
    ],
    rows: all.map(({ one, word }) => ({
      id: idOf("container", one.name),
      cells: [
        say(one.name),
        say(word),
        say(one.image),
        say(one.ready ? "yes" : "no"),
        sayCount(one.restartCount),
        sayState(one),
        say(one.lastReason),
      ],
    })),
    empty: "No containers.",
    below: null,
  };
}

function sayState({ state, reason, message, exitCode }: Pod["containers"][number]): Html {
  const code = exitCode === undefined ? "" : `, exit code ${exitCode}`;
  const why = reason === undefined ? "" : `: ${reason}`;
  return say(`${state}${why}${code}${message === undefined ? "" : ` (${message})`}`);
}

function conditionsBlock({ conditions }: Pod): Block {
  return {
    id: "conditions",
    heading: "Conditions",
    kind: "table",
    above: null,
    columns: [
      { name: "Type" },
      { name: "Status" },
      { name: "Since" },
      { name: "Reason" },
      { name: "Message" },
    ],
    rows: conditions.map((one) => ({
      id: idOf("condition", one.type),
      cells: [
        say(one.type),
        say(one.status),
        sayAge(one.lastTransitionTime),
        say(one.reason),
        say(one.message),
      ],
    })),
    empty: "No conditions.",
    below: null,
  };
}

export type LogChoice = { container: string | null; previous: boolean; tail: string };

/** Beyond it the oldest lines are left out. */
const LOG_CHARS_MAX = 200_000;
/** Colours and other sequences of terminals. */
const ANSI = /\u001b\[[0-9;?]*[ -/]*[@-~]/g;

export function podLogPage(pod: Pod, choice: LogChoice, log: Asked<PodLog>): Page {
  const { namespace, name } = pod;
  const names = log.kind === "ok" ? log.value.containers : pod.containers.map((one) => one.name);
  const shown = choice.container ?? (log.kind === "ok" ? log.value.containerName : null);
  const form = html`<form class="line" method="get" action="${podPath(namespace, name, "logs")}"
    aria-label="Choose a log">
    <label>Container <select name="container">${names.map((one) => option(one, one === shown))}
    </select></label>
    <label>Newest lines <select name="tail">${TAILS.map((one) => option(one, one === choice.tail))}
    </select></label>
    <label class="check"><input type="checkbox" name="previous" value="true"${
      choice.previous ? html` checked` : ""
    }> Before its last restart</label>
    <button type="submit">Show</button>
  </form>`;
  const block: Block = {
    id: "log",
    heading: shown === null ? "Log" : `Log of ${shown}`,
    kind: "text",
    body: html`${form}${sayLog(log)}`,
  };
  return podFrame(pod, "logs", [block]);
}

const option = (value: string, isChosen: boolean): Html =>
  html`<option value="${value}"${isChosen ? html` selected` : ""}>${plainText(value)}</option>`;

function sayLog(log: Asked<PodLog>): Html {
  if (log.kind === "failed") return html`<p>The log cannot be read: ${say(log.message)}.</p>`;
  const { logs, timestamp, truncated } = log.value;
  if (logs === "") return html`<p>The container has written nothing.</p>`;
  const cut = logs.length > LOG_CHARS_MAX;
  const text = visibleText(logs.slice(-LOG_CHARS_MAX).replace(ANSI, "").replaceAll("\r\n", "\n"));
  const note = cut
    ? html`<p>Older lines are left out: choose fewer lines.</p>`
    : truncated
      ? html`<p>The newest lines are missing: the log is longer than its limit.</p>`
      : "";
  return html`<p>Read ${sayAge(timestamp)}. This reading is in the audit.</p>${note}
    <pre tabindex="0" role="region" aria-label="Log">${text}</pre>`;
}

export function podEventsPage(pod: Pod, events: Asked<ClusterEvent[]>): Page {
  const all = events.kind === "ok" ? events.value : [];
  const table = eventTable(all.slice(0, EVENTS_SHOWN));
  const more = all.length - EVENTS_SHOWN;
  const below = more <= 0 ? null : html`<p>${more} older events are left out.</p>`;
  const empty = events.kind === "ok" ? "No events of this pod." : events.message;
  return podFrame(pod, "events", [{ ...table, empty, below }]);
}
