/**
 * What Slinky's operator (SchedMD's Slurm on Kubernetes, `slinky.slurm.net`) shows and reads on
 * Kubernetes objects, and what it means here (docs/slinky.md). Pure. Each pod of a NodeSet is one
 * node of Slurm; the operator writes that node's state into the pod's conditions.
 */
import { formatReason } from "../slurm/reason.ts";

const GROUP = "slinky.slurm.net";
/** On a Node: why Slurm's nodes there drain, once `spec.unschedulable` is set. */
export const CORDON_REASON = `nodeset.${GROUP}/node-cordon-reason`;
/** The operator sets it on a pod while Slurm works there, and its disruption budget selects it. */
const PROTECT = `nodeset.${GROUP}/pod-protect`;
const STATE = "SlurmNodeState";

export type SlurmPod = {
  /**
   * `busy`: jobs run, or their epilogs. `closed`: nothing runs and nothing can start. `open`: idle,
   * and a job may start. `unknown`: the operator has not said.
   */
  state: "busy" | "closed" | "open" | "unknown";
  /** Slurm drains it, for whatever reason. */
  draining: boolean;
};

type Controller = { apiVersion: string; kind: string } | null;

/** `null`: no NodeSet controls the pod. `conditions`: the types that are `True`. */
export function slurmPodOf(
  controller: Controller,
  phase: string,
  labels: Readonly<Record<string, string>>,
  conditions: { known: number; isTrue: ReadonlySet<string> },
): SlurmPod | null {
  if (controller?.kind !== "NodeSet" || !controller.apiVersion.startsWith(`${GROUP}/`)) return null;
  const is = (name: string): boolean => conditions.isTrue.has(`${STATE}${name}`);
  const draining = is("Drain") && !is("Undrain");
  const isBusy = is("Allocated") || is("Mixed") || is("Completing") || labels[PROTECT] === "true";
  if (isBusy) return { state: "busy", draining };
  // Without a running daemon no job has started.
  if (draining || is("Down") || phase === "Pending") return { state: "closed", draining };
  return { state: conditions.known === 0 ? "unknown" : "open", draining };
}

/** Whether a condition is the operator's. */
export const isSlurmState = (type: string): boolean => type.startsWith(STATE);

/** Whether its end would end jobs, as far as is known. */
export const mayWork = ({ state }: SlurmPod): boolean => state === "busy" || state === "unknown";

/** The operator cuts a reason there. */
const REASON_CHARS_MAX = 200;

/** The reason that the operator copies to Slurm, in the grammar of our own drains. */
export function cordonReasonOf(session: string, why: string): string {
  const xid = /\bXID (\d{1,3})\b/.exec(why)?.[1];
  const code = xid === undefined ? "CORDON" : `XID${xid}`;
  return formatReason({ session, code, text: why }).slice(0, REASON_CHARS_MAX);
}
