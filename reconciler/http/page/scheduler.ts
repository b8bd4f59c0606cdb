/** A node's side in Kubernetes and Slurm: who keeps it out of service, why, and its jobs. Pure. */
import { html } from "hono/html";
import type { CordonView, NodeView } from "../../../schema/api.ts";
import type { SinkOwner } from "../../../schema/slurm-view.ts";
import { formatTone, plainText } from "./kit.ts";
import { NOTHING, since, text } from "./node-cell.ts";
import type { Block, Html, Row } from "./page.ts";

export function schedulerBlock(view: NodeView): Block {
  return {
    id: "schedulers",
    heading: "Cordons and schedulers",
    kind: "table",
    above: null,
    columns: [{ name: "Where" }, { name: "State" }, { name: "Held by" }, { name: "Reason" }],
    rows: [
      ...cordonRow("navarch", "Navarch", view.cordons.product),
      ...cordonRow("person", "A person, by Navarch", view.cordons.human),
      ...kubernetesRow(view),
      ...slurmRow(view),
    ],
    empty: "It is not cordoned, and in no scheduler.",
    below: null,
  };
}

function cordonRow(id: string, where: string, cordon: CordonView | null): Row[] {
  if (cordon === null) return [];
  const { by, why, at } = cordon;
  const state = html`${formatTone("warn", "cordoned")} ${since(at)}`;
  const cells = [html`${where}`, state, text(by), text(why)];
  return [{ id: `cordon-${id}`, tone: "warn", cells }];
}

const OWNER_WORDS: Record<SinkOwner, string> = {
  none: "none",
  own: "Navarch",
  foreign: "others",
  slurm: "Slurm itself",
  unknown: "unknown: it does not answer",
};

function kubernetesRow({ kubernetes: kube, sinks }: NodeView): Row[] {
  if (kube === null || kube === undefined) return [];
  const { name, unschedulable, absent_since: absent, held_by: others, stays } = kube;
  const owner = sinks?.kubernetes ?? null;
  const state =
    absent !== null
      ? html`${formatTone("bad", "Node object is gone")} ${since(absent)}`
      : unschedulable
        ? formatTone("warn", "SchedulingDisabled")
        : formatTone("ok", "schedulable");
  const who = [...(kube.marked ? ["Navarch"] : []), ...others].join(", ");
  const why = [kube.hold ? "annotation navarch.dev/hold is set" : "", stays ?? ""];
  const cells = [
    html`Kubernetes Node <code>${plainText(name)}</code>`,
    state,
    text(who === "" && owner !== null ? OWNER_WORDS[owner] : who),
    text(why.filter((one) => one !== "").join("; ")),
  ];
  return [{ id: "scheduler-kubernetes", ...(unschedulable ? { tone: "warn" } : {}), cells }];
}

function slurmRow({ slurm }: NodeView): Row[] {
  if (slurm === null || slurm === undefined) return [];
  const { name, state, owner, reason, reason_by: by, unknown, refusal, jobs } = slurm;
  const isOut = owner !== "none";
  const why = [reason, unknown, refusal === null ? null : `Slurm refused: ${refusal}`];
  const cells = [
    html`Slurm node <code>${plainText(name)}</code>`,
    html`${formatTone(isOut ? "warn" : "ok", state ?? "unknown")}${jobsCell(jobs)}`,
    html`${OWNER_WORDS[owner]}${by === null ? "" : ` (${plainText(by)})`}`,
    text(why.filter((one) => one !== null && one !== "").join("; ")),
  ];
  return [{ id: "scheduler-slurm", ...(isOut ? { tone: "warn" } : {}), cells }];
}

function jobsCell(jobs: NonNullable<NodeView["slurm"]>["jobs"]): Html {
  if (jobs.length === 0) return html`<br><span class="soft">no jobs</span>`;
  const each = jobs.map(({ id, state, user, gpus }) => {
    const who = user === null ? NOTHING : html`${plainText(user)}`;
    return html`<li>job ${plainText(id)} ${plainText(state)}, ${who}, ${gpus} GPUs</li>`;
  });
  return html`<ul class="lines">${each}</ul>`;
}
