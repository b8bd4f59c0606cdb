/** What a person reads before an action: the object, what follows, and the form's fields. Pure. */
import { html } from "hono/html";
import type { NodeView, PodPlanView } from "../../../schema/api.ts";
import type { CommandType } from "../../../schema/command.ts";
import type { StatusView } from "../view/pool.ts";
import { formatTone, plainText } from "./kit.ts";
import {
  facts,
  list,
  nodePath,
  perHour,
  poolCost,
  poolPath,
  since,
  text,
  verdictCell,
} from "./node-cell.ts";
import { orderWords } from "./node.ts";
import type { Html } from "./page.ts";

/** What `site.ts` shows; the same for all readers of one role. */
export type Confirm = {
  title: string;
  nav: string;
  body: Html;
  fields: Html;
  button: string;
  danger: boolean;
  back: string;
};

export type OrderValues = {
  type: CommandType;
  view: NodeView;
  price: number | null;
  /** The steps; `null` with the reason if it would be refused without force. */
  preview: { plan: string[]; pods?: PodPlanView[] } | null;
  refusal: string | null;
  /** The pool's own deadline of a drain. */
  drainDefault: string;
};

const REASON_CHARS_MAX = 1_024;

export function confirmOrder(values: OrderValues): Confirm {
  const { type, view, preview, refusal } = values;
  const { node_id: id } = view;
  const words = orderWords(type, view);
  const body = html`${facts([
    ["node", html`<b>${plainText(id)}</b>`],
    ["pool", text(view.pool)],
    ["state", html`${view.phase}, ${verdictCell(view.verdict)}`],
    ["cordon", cordonCell(view.cordons)],
    ["cost", perHour(values.price)],
  ])}
<h3>What happens</h3>
${refusal === null ? "" : html`<p>${formatTone("bad", "refused without force")}: ${refusal}.</p>`}
${list(preview?.plan ?? [], html``)}
<p>${consequence(values)}</p>
${cordonsLeft(values)}${work(view, preview?.pods ?? null, type)}`;
  return {
    title: `${words} ${id}`,
    nav: "/fleet",
    body,
    fields: orderFields(values),
    button: `${words} ${id}`,
    danger: type === "terminate" || type === "replace",
    back: nodePath(id),
  };
}

function cordonCell({ human, product }: NodeView["cordons"]): Html {
  const all = [human, product].flatMap((one) => (one === null ? [] : [`${one.by}: ${one.why}`]));
  return all.length === 0 ? html`none` : formatTone("warn", `cordoned by ${all.join("; and by ")}`);
}

/** Dollars an hour and capacity, in one sentence. */
function consequence({ type, price, view }: OrderValues): string {
  const cost = price === null ? "its price is not known" : `$${price.toFixed(2)} an hour`;
  const gpus = `${view.gpus.length} GPUs`;
  switch (type) {
    case "cordon":
      return `No new work is placed on its ${gpus}; what runs goes on. It stays billed: ${cost}.`;
    case "uncordon":
      return view.phase === "draining"
        ? `The drain ends and its ${gpus} take work again. Pods that were evicted do not come back.`
        : `Its ${gpus} take work again. A cordon of others stays.`;
    case "drain":
      return `Its ${gpus} stay out of service until a person uncordons it. It is billed: ${cost}.`;
    case "terminate":
      return `The machine is ended for good; its pool may buy another. ${saving(price)}`;
    case "replace":
      return `The machine is ended for good; another is bought in its place: ${cost}.`;
  }
}

const saving = (price: number | null): string =>
  price === null ? "Its price is not known." : `This saves $${price.toFixed(2)} an hour.`;

function cordonsLeft({ type, view }: OrderValues): Html {
  const others = view.kubernetes?.held_by ?? [];
  if (type !== "uncordon" || others.length === 0) return html``;
  return html`<p>${formatTone("warn", "stays cordoned in Kubernetes")} by
${plainText(others.join(", "))}; Navarch lifts its own cordon only.</p>`;
}

const PODS_SHOWN = 50;
const POD_WORDS: ReadonlyMap<string, string> = new Map([
  ["evict", "is evicted"],
  ["wait", "is waited for"],
  ["keep", "stays"],
  ["blocked", "blocks the drain"],
]);

function work(
  { slurm, kubernetes }: NodeView,
  pods: PodPlanView[] | null,
  type: CommandType,
): Html {
  if (type === "cordon" || type === "uncordon") return html``;
  const leaving = (pods ?? []).filter(({ verdict }) => verdict !== "keep");
  const lines = leaving.slice(0, PODS_SHOWN).map(({ namespace, name, verdict, why }) => {
    const what = POD_WORDS.get(verdict) ?? verdict;
    return html`<li>${plainText(`${namespace}/${name}`)} ${what}${
      why === "" ? "" : html` <span class="soft">${plainText(why)}</span>`
    }</li>`;
  });
  const more = leaving.length - PODS_SHOWN;
  const rest = more > 0 ? html`<li>and ${more} more</li>` : "";
  const jobs = slurm?.jobs ?? [];
  const jobLines = jobs.map(({ id, user, gpus, state }) => {
    return html`<li>job ${plainText(id)} of ${plainText(user ?? "?")}, ${gpus} GPUs, ${state}</li>`;
  });
  const podText =
    pods !== null
      ? html`<h3>${leaving.length} pods leave</h3><ul class="lines">${lines}${rest}</ul>`
      : kubernetes === null || kubernetes === undefined
        ? html`<p>It is in no Kubernetes cluster.</p>`
        : html`<p>Its pods are not drained first: they end with the machine.</p>`;
  const jobText =
    slurm === null || slurm === undefined
      ? ""
      : html`<h3>${jobs.length} Slurm jobs</h3><ul class="lines">${jobLines}</ul>`;
  return html`${podText}${jobText}`;
}

function orderFields({ type, view, refusal, drainDefault }: OrderValues): Html {
  const timeout =
    type === "drain"
      ? html`<label>Deadline, such as 30m (empty: ${drainDefault})
<input name="timeout" maxlength="32" autocomplete="off"></label>`
      : "";
  const forced = forceWords(type, view, refusal);
  const force =
    forced === null
      ? ""
      : html`<label class="check"><input type="checkbox" name="force" value="yes">
${forced}</label>`;
  return html`${reasonField()}${timeout}${force}`;
}

function forceWords(type: CommandType, view: NodeView, refusal: string | null): string | null {
  switch (type) {
    case "cordon":
      return null;
    case "uncordon":
      if (refusal === null && view.verdict !== "unhealthy") return null;
      return "Force: drop the evidence against it and serve although it is unhealthy";
    case "drain":
      return "Force: also end work that nothing restarts";
    case "terminate":
    case "replace":
      return "Force: skip the drain; running work is lost";
  }
}

const reasonField = (): Html =>
  html`<label>Reason, shown to other operators and kept in the audit
<input name="reason" required maxlength="${REASON_CHARS_MAX}" autocomplete="off"></label>`;

export function confirmHold(status: StatusView): Confirm {
  const { name, cost } = status;
  const body = html`${poolFacts(status)}
<h3>What happens</h3>
<p>Navarch stops buying, draining, rebooting, replacing and ending nodes of pool ${plainText(name)}
until the hold ends. Broken nodes are still cordoned, and orders by people are carried out. Its
nodes stay billed: ${poolCost(cost)}.</p>`;
  const fields = html`${reasonField()}
<label>For how long, such as 4h (empty: 24h, at most 2160h)
<input name="for" maxlength="32" autocomplete="off"></label>`;
  const title = `Hold pool ${name}`;
  return { title, nav: "/fleet", body, fields, button: title, danger: false, back: poolPath(name) };
}

export function confirmRelease(status: StatusView): Confirm {
  const { name, hold } = status;
  const held =
    hold === null
      ? html`<p>The pool is not held: there is nothing to release.</p>`
      : html`<p>Held by ${plainText(hold.by)} until ${since(hold.until)}:
${plainText(hold.why)}</p>`;
  const body = html`${poolFacts(status)}${held}
<h3>What happens</h3>
<p>Navarch acts on pool ${plainText(name)} again: repairs that waited start within seconds.</p>`;
  const title = `Release pool ${name}`;
  const words = { title, button: title, nav: "/fleet", danger: false, back: poolPath(name) };
  return { ...words, body, fields: reasonField() };
}

function poolFacts(status: StatusView): Html {
  return facts([
    ["pool", html`<b>${plainText(status.name)}</b>`],
    ["nodes", html`${status.total_nodes} of ${status.desired} wanted`],
    ["unhealthy", html`${status.unhealthy_nodes}`],
    ["cost", poolCost(status.cost)],
  ]);
}
