/** What the cloud answers to the end of a machine that was asked for. Pure. */
import type { Node } from "../../../schema/node.ts";
import type { Operation } from "../../../schema/operation.ts";
import { backoffMs, patience } from "../turn/backoff.ts";
import type { Outcome } from "./outcome.ts";
import type { EndRefused } from "../say/wait.ts";
import { sayOutcome } from "../say/outcome.ts";

type End = Extract<Operation["payload"], { kind: "terminate" }>;
type Answer<K extends Outcome["kind"]> = Extract<Outcome, { kind: K }>;

/** Characters of a stored refusal. */
const REFUSAL_MAX = 500;

/** "Not found" is no proof of absence: the lists confirm it. */
export function foldEnd(
  node: Node,
  { provider, instanceId }: End,
  { isUnknown }: Answer<"done">,
  now: number,
): { node: Node; said: string } {
  const { host } = node.instance ?? {};
  const end = isUnknown === true ? "end_unknown" : "end_accepted";
  const said = sayOutcome(
    host === undefined
      ? { code: end, provider, instance: instanceId }
      : { code: "host_released", host: host.name },
  );
  if (node.phase.kind !== "terminating") return { node, said };
  const { refusal: _, ...phase } = node.phase;
  return { node: { ...node, phase: { ...phase, accepted: now } }, said };
}

/**
 * Retried without end: an instance that is not confirmed gone may be billed
 * (docs/reference/safety.md#spend). `null` = it is not to be ended any more.
 */
export function foldEndRefused(
  node: Node,
  { class: cls, message, retryAfterMs }: Answer<"refused">,
  now: number,
): { node: Node; isNews: boolean } | null {
  const { phase } = node;
  if (phase.kind !== "terminating") return null;
  const restMs = patience(retryAfterMs) ?? backoffMs(node.fence, 1_000, 5 * 60_000);
  const refusal = `${cls}: ${message}`.slice(0, REFUSAL_MAX);
  const next = { ...phase, notBefore: now + restMs, refusal };
  return { node: { ...node, phase: next }, isNews: phase.refusal !== refusal };
}

/** Of a machine that the cloud refuses to end; `null` = it does not. */
export function endRefusedOf({ id, phase, instance }: Node): EndRefused | null {
  if (phase.kind !== "terminating" || phase.refusal === undefined || instance === null) return null;
  return { provider: instance.provider, id: instance.id, node: id, said: phase.refusal };
}
